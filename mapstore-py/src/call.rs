//! One call: without the GIL, and so that Ctrl-C or a cancel token ends it.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use mapstore::Call;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::convert::{duration, raise};

/// How long a signal may wait for its handler, and a token for its effect.
const LISTEN: Duration = Duration::from_millis(20);

/// Cancels the calls it was given to, from any thread and for good.
#[pyclass(frozen, module = "mapstore._native")]
pub struct CancelToken(mapstore::CancelToken);

#[pymethods]
impl CancelToken {
    #[new]
    fn new() -> Self {
        CancelToken(mapstore::CancelToken::new())
    }

    fn cancel(&self) {
        self.0.cancel();
    }

    #[getter]
    fn cancelled(&self) -> bool {
        self.0.is_cancelled()
    }
}

/// The settings of one call.
pub struct Limits {
    pub call: Call,
    /// What the call listens to.
    token: mapstore::CancelToken,
    /// What the caller gave, where the call can't listen to it itself.
    given: Option<mapstore::CancelToken>,
    on_main_thread: bool,
}

impl Limits {
    pub fn new(
        py: Python<'_>,
        timeout: Option<f64>,
        cancel: Option<&Bound<'_, CancelToken>>,
    ) -> PyResult<Self> {
        let on_main_thread = on_main_thread(py)?;
        let given = cancel.map(|token| token.get().0.clone());
        // On the main thread a signal cancels this call, and no other one with the same token.
        let (token, given) = match given {
            Some(given) if !on_main_thread || given.is_cancelled() => (given, None),
            given => (mapstore::CancelToken::new(), given),
        };
        let mut call = Call::new().cancel(&token);
        if let Some(seconds) = timeout {
            call = call.timeout(duration(py, seconds)?);
        }
        Ok(Limits { call, token, given, on_main_thread })
    }

    /// Runs `work` without the GIL. On the main thread, where Python handles
    /// signals, it runs beside it: a handler that raises cancels it, and is heard
    /// when it has returned.
    pub fn blocking<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce() -> mapstore::Result<T> + Send,
    ) -> PyResult<T> {
        if !self.on_main_thread {
            return py.detach(work).map_err(|error| raise(py, &error));
        }
        let done = py.detach(|| {
            std::thread::scope(|scope| {
                let (sender, receiver) = channel();
                scope.spawn(move || sender.send(work()));
                loop {
                    match receiver.recv_timeout(LISTEN) {
                        Ok(result) => return Ok::<_, PyErr>(Some(result)),
                        Err(RecvTimeoutError::Disconnected) => return Ok(None),
                        Err(RecvTimeoutError::Timeout) => self.listen()?,
                    }
                }
            })
        })?;
        match done {
            Some(result) => result.map_err(|error| raise(py, &error)),
            None => Err(pyo3::exceptions::PySystemError::new_err("mapstore: a call ended without a result")),
        }
    }

    fn listen(&self) -> PyResult<()> {
        if self.given.as_ref().is_some_and(mapstore::CancelToken::is_cancelled) {
            self.token.cancel();
        }
        let heard = Python::attach(|py| py.check_signals());
        if heard.is_err() {
            self.token.cancel();
        }
        heard
    }
}

fn on_main_thread(py: Python<'_>) -> PyResult<bool> {
    static MAIN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static THIS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let main = MAIN.import(py, "threading", "main_thread")?.call0()?.getattr("ident")?;
    main.eq(THIS.import(py, "threading", "get_ident")?.call0()?)
}
