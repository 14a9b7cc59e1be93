//! Waiting without the GIL, so that the interpreter may end meanwhile.
//!
//! A daemon thread that wants the GIL back from an interpreter that is ending
//! never gets it: until Python 3.13 the interpreter calls `pthread_exit` in it.
//! That unwinds the thread's stack, and the first Rust frame that catches
//! panics (there is one around every method) takes it for a foreign exception:
//! the process aborts. So here the unwinding stops before it gets there: the
//! thread rests until the process is gone, as Python 3.14 itself has it.

use std::cell::Cell;
use std::ptr;
use std::time::Duration;

use pyo3::ffi::PyThreadState;
use pyo3::prelude::*;

// pyo3 declares them as functions that never unwind.
unsafe extern "C-unwind" {
    fn PyEval_SaveThread() -> *mut PyThreadState;
    fn PyEval_RestoreThread(state: *mut PyThreadState);
}

thread_local! {
    /// The Python state that this thread saved for its wait; null while the thread holds the GIL.
    static SAVED: Cell<*mut PyThreadState> = const { Cell::new(ptr::null_mut()) };
}

/// Runs `work`, which must not panic and not touch Python, without the GIL.
pub fn detached<T>(_: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    // SAFETY: the thread is attached, as `Python` proves; it is again when this returns.
    let outer = SAVED.replace(unsafe { PyEval_SaveThread() });
    let result = work();
    attach(SAVED.replace(outer));
    result
}

/// Within [`detached`]: Python's turn for a moment, as for its signal handlers.
pub fn attached<T>(turn: impl FnOnce(Python<'_>) -> T) -> T {
    attach(SAVED.replace(ptr::null_mut()));
    // SAFETY: attached just now.
    let result = turn(unsafe { Python::assume_attached() });
    // SAFETY: as in `detached`.
    SAVED.set(unsafe { PyEval_SaveThread() });
    result
}

fn attach(state: *mut PyThreadState) {
    let resting = RestIfUnwound;
    // SAFETY: the state that this thread saved, and nobody restored since.
    unsafe { PyEval_RestoreThread(state) };
    std::mem::forget(resting);
}

struct RestIfUnwound;

impl Drop for RestIfUnwound {
    /// Reached by `pthread_exit` only.
    fn drop(&mut self) {
        loop {
            std::thread::sleep(Duration::from_secs(3600));
        }
    }
}
