//! What is done once in a process takes locks of the whole process, in the
//! libraries underneath (tokio's signal registry, the panic hook): a child
//! forked by another thread at that moment would wait for ever for a thread
//! that it doesn't have. So a fork waits until such a step is over; it takes
//! microseconds.
//!
//! The lock is one word. In a forked child it is free: nobody else is there. A
//! raw `clone` runs no handlers and may find it held by its parent's thread;
//! then what was begun is half done for good, which is an error, not a wait.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::host::process::generation;
use crate::host::thread::SignalsBlocked;

/// The process generation of the thread that is inside; 0: nobody is.
static INSIDE: AtomicU64 = AtomicU64::new(0);
/// The thread that holds the lock for its fork.
static FORKING: AtomicI32 = AtomicI32::new(0);
static WATCHING_FORKS: AtomicBool = AtomicBool::new(false);

const LOOK_AGAIN: Duration = Duration::from_micros(50);

/// While this value lives nobody else is inside, and nobody forks.
pub(crate) struct Inside {
    /// A signal handler on this thread that forked would wait for itself.
    _signals: SignalsBlocked,
}

pub(crate) fn enter() -> Result<Inside> {
    watch_forks();
    let signals = SignalsBlocked::new();
    if take() {
        return Ok(Inside { _signals: signals });
    }
    Err(Error::new(
        ErrorKind::Forked,
        "this process",
        "it was cloned, by no fork of the C library, while its parent began to use mapstore: what that began can't \
         be ended here; use fork(), or open a store before",
    ))
}

/// Runs `first` unless it has run in this process or an ancestor.
pub(crate) fn once(done: &AtomicBool, first: impl FnOnce()) {
    if done.load(Ordering::Acquire) {
        return;
    }
    if let Ok(_inside) = enter()
        && !done.load(Ordering::Acquire)
    {
        first();
        done.store(true, Ordering::Release);
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.store(0, Ordering::Release);
    }
}

/// `false`: a thread of another process is inside, and will be for ever.
fn take() -> bool {
    let own = generation();
    loop {
        match INSIDE.compare_exchange(0, own, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => return true,
            Err(holder) if holder != own => return false,
            Err(_) => std::thread::sleep(LOOK_AGAIN),
        }
    }
}

/// Two threads may come here at once, so the handlers may be registered twice:
/// waiting for each other here would be what this file is to prevent.
fn watch_forks() {
    if WATCHING_FORKS.load(Ordering::Acquire) {
        return;
    }
    // SAFETY: the handlers touch nothing but the words of this file, and the library stays loaded. While another thread
    // forks this waits for the end of its fork, so none falls between here and the first step inside.
    if unsafe { libc::pthread_atfork(Some(before_fork), Some(after_in_parent), Some(after_in_child)) } == 0 {
        WATCHING_FORKS.store(true, Ordering::Release);
    }
}

fn this_thread() -> i32 {
    // SAFETY: it takes nothing and can't fail.
    unsafe { libc::syscall(libc::SYS_gettid) as i32 }
}

unsafe extern "C" fn before_fork() {
    // The handlers run, so they are registered: the child needs no more of them.
    WATCHING_FORKS.store(true, Ordering::Release);
    let me = this_thread();
    if FORKING.load(Ordering::Relaxed) != me && take() {
        FORKING.store(me, Ordering::Relaxed);
    }
}

unsafe extern "C" fn after_in_parent() {
    if FORKING.compare_exchange(this_thread(), 0, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        INSIDE.store(0, Ordering::Release);
    }
}

unsafe extern "C" fn after_in_child() {
    FORKING.store(0, Ordering::Relaxed);
    INSIDE.store(0, Ordering::Release);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn a_fork_waits_for_whoever_is_inside() {
        static LEFT: AtomicBool = AtomicBool::new(false);
        let inside = enter().unwrap();
        let other = std::thread::spawn(|| {
            // SAFETY: the child looks at a word and exits.
            unsafe {
                let child = libc::fork();
                if child == 0 {
                    libc::_exit(if LEFT.load(Ordering::SeqCst) && enter().is_ok() { 0 } else { 1 });
                }
                let mut status = 0;
                libc::waitpid(child, &mut status, 0);
                status
            }
        });
        std::thread::sleep(Duration::from_millis(50));
        LEFT.store(true, Ordering::SeqCst);
        drop(inside);
        assert_eq!(other.join().unwrap(), 0);
    }

    #[test]
    fn a_raw_clone_of_somebody_inside_is_told_so() {
        let inside = enter().unwrap();
        // SAFETY: the child asks, without allocating, and exits.
        let status = unsafe {
            let child = libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0);
            if child == 0 {
                libc::_exit(if take() { 1 } else { 0 });
            }
            let mut status = 0;
            libc::waitpid(child as i32, &mut status, 0);
            status
        };
        drop(inside);
        assert_eq!(status, 0);
    }

    #[test]
    fn what_is_done_once_is_done_once() {
        static DONE: AtomicBool = AtomicBool::new(false);
        static COUNT: AtomicU32 = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    once(&DONE, || {
                        COUNT.fetch_add(1, Ordering::SeqCst);
                    })
                });
            }
        });
        assert_eq!(COUNT.load(Ordering::SeqCst), 1);
    }
}
