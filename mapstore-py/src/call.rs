//! One call: without the GIL, and so that Ctrl-C or a cancel token ends it.

use std::sync::{Arc, Mutex, PoisonError};

use mapstore::Call;
use mapstore::panics::caught;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::convert::{duration, panicked, raise};
use crate::detach::{attached, detached};

/// Cancels the calls it was given to, from any thread and for good.
///
/// A call that is cancelled ends within 100 ms with a CancelledError; every
/// later call with the same token ends at once.
#[pyclass(frozen, module = "mapstore")]
pub struct CancelToken(mapstore::CancelToken);

#[pymethods]
impl CancelToken {
    #[new]
    fn new() -> Self {
        CancelToken(mapstore::CancelToken::new())
    }

    /// Cancels. Never blocks; a second time does nothing.
    fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether ``cancel`` was called.
    #[getter]
    fn cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    fn __repr__(&self) -> String {
        format!("<mapstore.CancelToken, {}cancelled>", if self.0.is_cancelled() { "" } else { "not " })
    }
}

pub type Timeout = Option<f64>;
pub type Cancel<'a, 'py> = Option<&'a Bound<'py, CancelToken>>;

/// What a signal handler raised while a call waited.
#[derive(Clone, Default)]
struct Raised(Arc<Mutex<Option<PyErr>>>);

impl Raised {
    fn slot(&self) -> std::sync::MutexGuard<'_, Option<PyErr>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the handlers of signals that came. `false`: one of them raised.
    fn look(&self) -> bool {
        let looked = attached(|py| py.check_signals());
        let calm = looked.is_ok();
        if let Err(raised) = looked {
            *self.slot() = Some(raised);
        }
        calm
    }
}

/// The settings of one call that waits.
pub struct Limits {
    pub call: Call,
    raised: Raised,
}

impl Limits {
    pub fn new(py: Python<'_>, timeout: Timeout, cancel: Cancel<'_, '_>) -> PyResult<Self> {
        let mut call = settings(py, timeout, cancel)?;
        let raised = Raised::default();
        if handles_signals(py)? {
            let raised = raised.clone();
            call = call.wanted(move || raised.look());
        }
        Ok(Limits { call, raised })
    }

    /// Runs `work` without the GIL. On the main thread, where Python handles
    /// signals, a handler that raises cancels it: the exception is what the caller
    /// sees, and in its context how far the call had come.
    pub fn blocking<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce() -> mapstore::Result<T> + Send,
    ) -> PyResult<T> {
        let done = detached(py, || caught(work));
        let raised = self.raised.slot().take();
        let failure = match done {
            Ok(Ok(value)) if raised.is_none() => return Ok(value),
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(raise(py, &error)),
            Err(panic) => Some(panicked(py, panic)),
        };
        match (raised, failure) {
            (Some(raised), Some(failure)) => Err(in_context(py, raised, failure)),
            (Some(raised), None) => Err(raised),
            (None, failure) => Err(failure.expect("a call without a value has failed")),
        }
    }
}

/// The settings of a call that doesn't wait.
pub fn settings(py: Python<'_>, timeout: Timeout, cancel: Cancel<'_, '_>) -> PyResult<Call> {
    let mut call = Call::new();
    if let Some(token) = cancel {
        call = call.cancel(&token.get().0);
    }
    if let Some(seconds) = timeout {
        call = call.timeout(duration(py, seconds)?);
    }
    Ok(call)
}

/// Runs `work`, which doesn't wait, and gives its error, or its panic, as an exception.
pub fn at_once<T>(py: Python<'_>, work: impl FnOnce() -> mapstore::Result<T>) -> PyResult<T> {
    match caught(work) {
        Ok(done) => done.map_err(|error| raise(py, &error)),
        Err(panic) => Err(panicked(py, panic)),
    }
}

fn in_context(py: Python<'_>, raised: PyErr, failure: PyErr) -> PyErr {
    let (raised, failure) = (raised.into_value(py), failure.into_value(py));
    // SAFETY: both are exceptions; the reference to the context is given away.
    unsafe { pyo3::ffi::PyException_SetContext(raised.as_ptr(), failure.into_ptr()) };
    PyErr::from_value(raised.into_bound(py).into_any())
}

/// Whether Python runs signal handlers in this thread: its main one. That is the
/// process' first, unless the program that embeds Python started it in another.
fn handles_signals(py: Python<'_>) -> PyResult<bool> {
    static MAIN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    // SAFETY: none of the three has a condition.
    let (thread, process, ident) =
        unsafe { (libc::syscall(libc::SYS_gettid), libc::getpid(), libc::pthread_self()) };
    if thread == libc::c_long::from(process) {
        return Ok(true);
    }
    let main = MAIN.import(py, "threading", "main_thread")?.call0()?.getattr("ident")?;
    main.eq(ident)
}
