//! Reads the small files a configuration names. One may be a pipe, as the
//! shell's `<(…)` makes it, or as a mistake: a read that waited for its writer
//! would hold one of the few blocking threads for ever.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{ErrorKind as IoKind, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::host::resources;

/// How often a wait for a pipe's writer looks whether it is over.
const POLL_MILLISECONDS: i32 = 20;

/// The text of a file, or of a pipe up to its end; `subject` names it in an
/// error. Blocks until then, or until `over`.
pub(crate) fn read(path: &Path, subject: &str, over: impl Fn() -> bool) -> Result<String> {
    text(read_bytes(path, subject, over)?, subject)
}

/// [`read`]; `None` if there is no such file.
pub(crate) fn read_if_there(path: &Path, subject: &str, over: impl Fn() -> bool) -> Result<Option<String>> {
    read_bytes_if_there(path, subject, over)?.map(|bytes| text(bytes, subject)).transpose()
}

/// [`read`], of what need not be text.
pub(crate) fn read_bytes(path: &Path, subject: &str, over: impl Fn() -> bool) -> Result<Vec<u8>> {
    let missing = || Error::config(subject, format!("can't read {path:?}: there is no such file"));
    read_bytes_if_there(path, subject, over)?.ok_or_else(missing)
}

/// [`read_bytes`]; `None` if there is no such file.
pub(crate) fn read_bytes_if_there(
    path: &Path,
    subject: &str,
    over: impl Fn() -> bool,
) -> Result<Option<Vec<u8>>> {
    let failed = |error: std::io::Error| {
        resources::no_descriptor(&error)
            .unwrap_or_else(|| Error::config(subject, format!("can't read {path:?}: {error}")))
    };
    let mut file = match open(path) {
        Err(error) if error.kind() == IoKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let mut bytes = Vec::new();
    if file.metadata().is_ok_and(is_pipe) {
        while !read_part(&mut file, &mut bytes).map_err(failed)? {
            if over() {
                let message = "it is a pipe, and what should come out of it didn't in time";
                return Err(Error::new(ErrorKind::Deadline, subject, message));
            }
        }
    } else {
        file.read_to_end(&mut bytes).map_err(failed)?;
    }
    Ok(Some(bytes))
}

/// Whether it can be opened. A pipe is left alone: it can be opened once only.
pub(crate) fn check(path: impl AsRef<Path>, subject: &str) -> Result<()> {
    let path = path.as_ref();
    if is_pipe_at(path) {
        return Ok(());
    }
    let failed = |error: std::io::Error| {
        resources::no_descriptor(&error)
            .unwrap_or_else(|| Error::config(subject, format!("can't read {path:?}: {error}")))
    };
    open(path).map(drop).map_err(failed)
}

/// Whether `path` leads to a pipe.
pub(crate) fn is_pipe_at(path: &Path) -> bool {
    path.metadata().is_ok_and(is_pipe)
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

fn text(bytes: Vec<u8>, subject: &str) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| Error::config(subject, "it is not valid UTF-8"))
}

fn is_pipe(metadata: Metadata) -> bool {
    metadata.file_type().is_fifo()
}

/// What there is, waiting a moment for it. `true`: that was all.
fn read_part(file: &mut File, bytes: &mut Vec<u8>) -> std::io::Result<bool> {
    // Until the first writer comes there is neither data nor an end to a pipe; only poll(2) tells.
    let mut ready = libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one valid entry.
    if unsafe { libc::poll(&mut ready, 1, POLL_MILLISECONDS) } <= 0 {
        return Ok(false);
    }
    let mut chunk = [0; 8192];
    match file.read(&mut chunk) {
        Ok(0) => Ok(true),
        Ok(count) => {
            bytes.extend_from_slice(&chunk[..count]);
            Ok(false)
        }
        Err(error) if matches!(error.kind(), IoKind::WouldBlock | IoKind::Interrupted) => Ok(false),
        Err(error) => Err(error),
    }
}
