//! Ends what a credential plugin has started if the host is killed: the kernel
//! tells the plugin alone of its host's end (see [`super::child`]), not its
//! children. A shell beside the plugin waits for the end of a pipe that only the
//! host holds, and kills the plugin's process group then. The shell lives as long as
//! the plugin; where there is no `/bin/sh` the plugin's children are left to themselves.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::FromRawFd;

use super::child::{Child, Program, Signals};

const SHELL: &std::ffi::CStr = c"/bin/sh";
const SCRIPT: &str = "read -r line; kill -9 \"-$1\"";

pub(crate) struct Guard {
    _shell: Child,
    /// Closed by the kernel with the host. Programs that the host starts don't inherit it.
    _lifeline: File,
}

impl Guard {
    /// For a program that was started just now.
    pub fn over(program: &Child, signals: &Signals) -> std::io::Result<Guard> {
        let (end, lifeline) = pipe()?;
        let null = File::options().read(true).write(true).open("/dev/null")?;
        let group = program.pid().to_string();
        let words = ["sh", "-c", SCRIPT, "mapstore-guard", &group];
        let args: Vec<_> = words.iter().filter_map(|word| CString::new(*word).ok()).collect();
        let shell = Program {
            path: SHELL,
            args: &args,
            env: &[],
            stdio: [&end, &null, &null],
            signals,
            dies_with_host: false,
        };
        Ok(Guard { _shell: shell.start()?, _lifeline: lifeline })
    }
}

fn pipe() -> std::io::Result<(File, File)> {
    let mut ends = [0; 2];
    // SAFETY: the array has room for both; new descriptors are ours alone.
    unsafe {
        if libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) != 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok((File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1])))
    }
}
