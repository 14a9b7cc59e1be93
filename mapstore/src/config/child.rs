//! Starts a program of the user's (a credential plugin) without copying the
//! host, and ends it with everything it started.
//!
//! std's `Command` can't be used: the runtime's threads block every signal and
//! the program would inherit that (a shell's `wait` then hangs for ever), and
//! whatever std offers to change in the child makes it fork, which copies the
//! page tables of a host that may be large. `posix_spawn` can set the mask, but
//! not tell the kernel that the program is to die with its host. So this does
//! what glibc's `posix_spawn` does inside: the child shares the host's memory
//! and runs on a stack of its own until it executes the program, and the
//! starting thread waits that long.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::ptr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use libc::{c_char, c_int, c_void, pid_t};

use crate::host::process::PerProcess;

/// Signals have the numbers 1 to 64 on Linux.
const LAST_SIGNAL: c_int = 64;

/// What the child needs until it executes the program; glibc takes 32 KiB.
const STACK: usize = 64 << 10;

/// The signal mask of a thread, and which signals its process ignores.
#[derive(Clone, Copy)]
pub(crate) struct Signals {
    mask: libc::sigset_t,
    /// Bit n - 1 for signal n.
    ignored: u64,
}

impl Signals {
    /// As they are on this thread now.
    pub fn capture() -> Signals {
        // SAFETY: both are plain data, written by the calls; neither changes anything.
        unsafe {
            let mut mask = std::mem::zeroed();
            libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &mut mask);
            let mut ignored = 0;
            for signal in 1..=LAST_SIGNAL {
                let mut action: libc::sigaction = std::mem::zeroed();
                let known = libc::sigaction(signal, ptr::null(), &mut action) == 0;
                if known && action.sa_sigaction == libc::SIG_IGN {
                    ignored |= bit(signal);
                }
            }
            Signals { mask, ignored }
        }
    }

    /// SIGPIPE is ignored by hosts in Rust, Python and others for themselves, and
    /// SIGCHLD by some to be rid of zombies; no program expects to inherit that.
    fn stays_ignored(&self, signal: c_int) -> bool {
        self.ignored & bit(signal) != 0 && signal != libc::SIGPIPE && signal != libc::SIGCHLD
    }
}

fn bit(signal: c_int) -> u64 {
    1 << (signal - 1)
}

/// A program, ready to be started.
pub(crate) struct Program<'a> {
    pub path: &'a CStr,
    /// The name it is called by first.
    pub args: &'a [CString],
    /// `NAME=value`.
    pub env: &'a [CString],
    /// For its descriptors 0, 1 and 2.
    pub stdio: [&'a File; 3],
    pub signals: &'a Signals,
    /// Whether the kernel is to kill it when the thread that starts it ends, and
    /// so with the host. What the program starts itself isn't told by the kernel.
    pub dies_with_host: bool,
}

/// All that the child touches; made before there is a child, which must not allocate.
struct Plan<'a> {
    path: *const c_char,
    argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
    /// For its descriptors 0, 1 and 2; none of them is one of these itself.
    stdio: [RawFd; 3],
    signals: &'a Signals,
    dies_with_host: bool,
    host: pid_t,
    /// Written by the child, whose memory is ours, if it can't go on.
    error: c_int,
}

/// How a program ended.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Ended {
    Exit(c_int),
    Signal(c_int),
    /// The host ignores SIGCHLD or reaps every child itself.
    Unknown,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ended::Exit(code) => write!(f, "exit status: {code}"),
            Ended::Signal(signal) => write!(f, "signal: {signal}"),
            Ended::Unknown => write!(f, "its exit status is not known"),
        }
    }
}

/// A program under way, in a process group of its own. Dropped, it is killed
/// with everything in the group; so is whatever it left there when it ended.
pub(crate) struct Child {
    pid: pid_t,
    ended: Option<Ended>,
}

impl Program<'_> {
    pub fn start(&self) -> io::Result<Child> {
        reap_late_ones();
        let [input, output, complaints] = self.stdio;
        let stdio = [above_stdio(input)?, above_stdio(output)?, above_stdio(complaints)?];
        let list = |strings: &[CString]| {
            strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect::<Vec<_>>()
        };
        let mut plan = Plan {
            path: self.path.as_ptr(),
            argv: list(self.args),
            envp: list(self.env),
            stdio: [stdio[0].as_raw_fd(), stdio[1].as_raw_fd(), stdio[2].as_raw_fd()],
            signals: self.signals,
            dies_with_host: self.dies_with_host,
            // SAFETY: it can't fail.
            host: unsafe { libc::getpid() },
            error: 0,
        };
        let pid = clone_and_wait_for_exec(&mut plan)?;
        let child = Child { pid, ended: None };
        // SAFETY: only written by the child, which is done with our memory. Dropping `child` reaps it.
        match unsafe { ptr::read_volatile(&plan.error) } {
            0 => Ok(child),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// A duplicate that isn't 0, 1 or 2: a host may have closed those, and the child
/// would overwrite one with the other.
fn above_stdio(file: &File) -> io::Result<File> {
    // SAFETY: a new descriptor is ours alone.
    unsafe {
        match libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(File::from_raw_fd(fd)),
        }
    }
}

fn clone_and_wait_for_exec(plan: &mut Plan) -> io::Result<pid_t> {
    let mut stack = vec![0u128; STACK / size_of::<u128>()];
    // SAFETY: the stack is aligned and not used by anybody else; CLONE_VFORK
    // keeps this thread, and with it plan and stack, until the child has
    // executed the program or is gone. No signal handler of the host runs in the
    // child: every signal is blocked here, and the child has none left when it
    // unblocks them.
    unsafe {
        let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        let top = stack.as_mut_ptr().add(stack.len()).cast::<c_void>();
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let pid = libc::clone(child_main, top, flags, ptr::from_mut(plan).cast());
        let failed = io::Error::last_os_error();
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, ptr::null_mut());
        if pid < 0 { Err(failed) } else { Ok(pid) }
    }
}

/// Runs in the child: system calls only, nothing that allocates, locks or panics.
extern "C" fn child_main(plan: *mut c_void) -> c_int {
    // SAFETY: the plan outlives this function, see above; the parent doesn't touch it meanwhile.
    unsafe {
        let plan = &mut *plan.cast::<Plan>();
        if plan.dies_with_host {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        }
        if libc::getppid() != plan.host || libc::setpgid(0, 0) != 0 {
            return fail(plan);
        }
        for (target, source) in plan.stdio.iter().enumerate() {
            if libc::dup2(*source, target as c_int) < 0 {
                return fail(plan);
            }
        }
        for signal in 1..=LAST_SIGNAL {
            let mut action: libc::sigaction = std::mem::zeroed();
            let ignore = plan.signals.stays_ignored(signal);
            action.sa_sigaction = if ignore { libc::SIG_IGN } else { libc::SIG_DFL };
            libc::sigaction(signal, &action, ptr::null_mut());
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &plan.signals.mask, ptr::null_mut());
        libc::execve(plan.path, plan.argv.as_ptr(), plan.envp.as_ptr());
        fail(plan)
    }
}

/// The child's last words.
unsafe fn fail(plan: &mut Plan) -> c_int {
    // SAFETY: errno is always there; _exit runs nothing of the host's.
    unsafe {
        let error = *libc::__errno_location();
        ptr::write_volatile(&mut plan.error, if error == 0 { libc::ESRCH } else { error });
        libc::_exit(127)
    }
}

impl Child {
    /// The number of the group, too.
    pub fn pid(&self) -> pid_t {
        self.pid
    }

    /// How it ended, if it has; then its group is gone too.
    pub fn poll(&mut self) -> Option<Ended> {
        if self.ended.is_none() && self.has_ended() {
            self.end();
        }
        self.ended
    }

    /// Without reaping it: until that, nobody else can have its number.
    fn has_ended(&self) -> bool {
        // SAFETY: the information is plain data, zero if it still runs.
        unsafe {
            let mut about: libc::siginfo_t = std::mem::zeroed();
            let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
            let looked = libc::waitid(libc::P_PID, self.pid as libc::id_t, &mut about, options);
            looked != 0 || about.si_pid() != 0
        }
    }

    /// Kills what is left of the group and reaps the program. One that has to
    /// be killed is dead in less than a millisecond, unless it hangs in the
    /// kernel; that one isn't waited for.
    fn end(&mut self) {
        // SAFETY: the group is the program's own, and the program isn't reaped yet.
        unsafe { libc::kill(-self.pid, libc::SIGKILL) };
        for _ in 0..10 {
            self.ended = reap(self.pid);
            if self.ended.is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.ended = Some(Ended::Unknown);
        UNREAPED.get().lock().unwrap_or_else(PoisonError::into_inner).push(self.pid);
    }
}

/// How the program ended; `None`: it hasn't.
fn reap(pid: pid_t) -> Option<Ended> {
    let mut status = 0;
    // SAFETY: the status is ours to write.
    match unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } {
        0 => None,
        reaped if reaped != pid => Some(Ended::Unknown),
        _ if libc::WIFEXITED(status) => Some(Ended::Exit(libc::WEXITSTATUS(status))),
        _ => Some(Ended::Signal(libc::WTERMSIG(status))),
    }
}

/// Programs that were killed and were not dead yet; looked at when the next one starts.
static UNREAPED: PerProcess<Mutex<Vec<pid_t>>> = PerProcess::new();

fn reap_late_ones() {
    let mut unreaped = UNREAPED.get().lock().unwrap_or_else(PoisonError::into_inner);
    unreaped.retain(|pid| reap(*pid).is_none());
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.end();
        }
    }
}
