//! Threads of our own, made by pthread_create. The standard library's take a
//! lock of the whole process when they end (and in a Rust program when they
//! begin): a child forked at that moment could never end one.

use std::cell::Cell;
use std::ffi::CStr;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

/// The stack of a thread: as much as tokio gives its threads; only what is touched takes memory.
const STACK: usize = 2 << 20;

type Work = Box<dyn FnOnce() + Send>;

thread_local! {
    static OURS: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` on a new thread that nobody joins. A panic ends the thread only.
/// Signals are blocked there from its first moment on.
pub(crate) fn spawn(name: &'static CStr, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let named: Work = Box::new(move || {
        // SAFETY: the name is NUL-terminated; this is about the calling thread only.
        unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) };
        work();
    });
    let work = Box::into_raw(Box::new(named));
    // New threads inherit the mask; set before they exist there is no moment without it.
    let _blocked = SignalsBlocked::new();
    let failure = start(work);
    if failure != 0 {
        // SAFETY: no thread was made that would have taken it.
        drop(unsafe { Box::from_raw(work) });
        return Err(io::Error::from_raw_os_error(failure));
    }
    Ok(())
}

fn start(work: *mut Work) -> i32 {
    // SAFETY: the attributes are initialized before they are used, and destroyed after; `body` takes `work` once.
    unsafe {
        let mut attributes = std::mem::zeroed();
        let mut thread = std::mem::zeroed();
        let failure = libc::pthread_attr_init(&mut attributes);
        if failure != 0 {
            return failure;
        }
        libc::pthread_attr_setdetachstate(&mut attributes, libc::PTHREAD_CREATE_DETACHED);
        libc::pthread_attr_setstacksize(&mut attributes, STACK);
        let failure = libc::pthread_create(&mut thread, &attributes, body, work.cast());
        libc::pthread_attr_destroy(&mut attributes);
        failure
    }
}

extern "C" fn body(work: *mut libc::c_void) -> *mut libc::c_void {
    // SAFETY: from `spawn`, for this thread alone.
    let work = unsafe { Box::from_raw(work.cast::<Work>()) };
    OURS.set(true);
    let _ = catch_unwind(AssertUnwindSafe(work));
    ptr::null_mut()
}

/// Whether this thread was made here.
pub(crate) fn is_ours() -> bool {
    OURS.get()
}

/// Blocks all signals on this thread; restores the mask when dropped.
pub(crate) struct SignalsBlocked(libc::sigset_t);

impl SignalsBlocked {
    pub fn new() -> Self {
        // SAFETY: both sets are valid for writing; the call can't fail with them.
        unsafe {
            let mut all = std::mem::zeroed();
            let mut before = std::mem::zeroed();
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
            SignalsBlocked(before)
        }
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        // SAFETY: the set was filled in by `new`.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, ptr::null_mut()) };
    }
}
