//! What a process can run out of, said so that it can be mended: which limit,
//! and how much it allows.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;

use crate::error::{Error, ErrorKind};

const SUBJECT: &str = "this process";

/// A thread couldn't be made.
pub(crate) fn no_thread(error: io::Error) -> Error {
    let message = format!(
        "no thread can be started ({error}): its user may have {} (RLIMIT_NPROC), its cgroup pids.max, and a stack \
         needs 2 MiB of address space (RLIMIT_AS); end some, raise the limit, or call again later",
        limit(libc::RLIMIT_NPROC)
    );
    Error::new(ErrorKind::Unavailable, SUBJECT, message).with_source(error)
}

/// What to say of `error` if it, or one of its causes, is that descriptors ran out.
pub(crate) fn no_descriptor(error: &(dyn StdError + 'static)) -> Option<Error> {
    let code = system_code(error)?;
    let message = match code {
        libc::EMFILE => format!(
            "no file descriptor is left: it may have {} open (RLIMIT_NOFILE); close some, raise the limit, or call \
             again later",
            limit(libc::RLIMIT_NOFILE)
        ),
        libc::ENFILE => {
            "no file descriptor is left in the whole system (fs.file-max); call again later".to_owned()
        }
        _ => return None,
    };
    let source = io::Error::from_raw_os_error(code);
    Some(Error::new(ErrorKind::Unavailable, SUBJECT, message).with_source(source))
}

/// The system's number in an error or one of its causes.
fn system_code(error: &(dyn StdError + 'static)) -> Option<i32> {
    let shared = error.downcast_ref::<Arc<io::Error>>().map(|shared| &**shared);
    let Some(io) = error.downcast_ref::<io::Error>().or(shared) else { return system_code(error.source()?) };
    // What it wraps isn't its source: that is the wrapped one's source.
    io.raw_os_error().or_else(|| system_code(io.get_ref()?))
}

/// Whether `count` more descriptors can be had just now.
pub(crate) fn descriptors(count: usize) -> io::Result<()> {
    let mut held = Vec::with_capacity(count);
    for _ in 0..count {
        // SAFETY: a new descriptor is ours alone.
        unsafe {
            let fd = libc::eventfd(0, libc::EFD_CLOEXEC);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            held.push(<std::os::fd::OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(fd));
        }
    }
    Ok(())
}

fn limit(resource: libc::__rlimit_resource_t) -> String {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the structure is valid for writing.
    unsafe { libc::getrlimit(resource, &mut limit) };
    if limit.rlim_cur == libc::RLIM_INFINITY { "any number".to_owned() } else { limit.rlim_cur.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ran_out_is_named_with_its_limit() {
        let error = no_descriptor(&io::Error::from_raw_os_error(libc::EMFILE)).unwrap();
        assert!(error.is_retryable() && error.to_string().contains("RLIMIT_NOFILE"), "{error}");
        assert!(error.to_string().contains(&limit(libc::RLIMIT_NOFILE)), "{error}");
        let outer = io::Error::other(io::Error::from_raw_os_error(libc::ENFILE));
        assert!(no_descriptor(&outer).unwrap().to_string().contains("fs.file-max"));
        assert!(no_descriptor(&io::Error::from_raw_os_error(libc::ENOENT)).is_none());
        let error = no_thread(io::Error::from_raw_os_error(libc::EAGAIN));
        assert!(error.is_retryable() && error.to_string().contains("RLIMIT_NPROC"), "{error}");
        descriptors(3).unwrap();
    }
}
