//! From Python's objects to the core's, and the core's errors to Python's.

use std::time::Duration;

use mapstore::ErrorKind;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyString};

static EXCEPTIONS: PyOnceLock<Py<PyDict>> = PyOnceLock::new();

/// The exceptions by kind: those of the first import of the package in this
/// process. The package may be imported anew (by reloaders, by tests that
/// restore `sys.modules`), this module is loaded once: with the same classes for
/// all, whoever catches one of them catches it.
#[pyfunction]
pub fn first_exceptions(classes: Bound<'_, PyDict>) -> Bound<'_, PyDict> {
    let py = classes.py();
    EXCEPTIONS.get_or_init(py, || classes.unbind()).bind(py).clone()
}

/// What an exception says beside its message.
struct Details<'a> {
    kind: ErrorKind,
    subject: &'a str,
    http_status: Option<u16>,
    retryable: bool,
    used: Option<u64>,
    limit: Option<u64>,
}

/// The exception for an error.
pub fn raise(py: Python<'_>, error: &mapstore::Error) -> PyErr {
    let (used, limit) = error.used_and_limit().map_or((None, None), |(used, limit)| (used, Some(limit)));
    let details = Details {
        kind: error.kind(),
        subject: error.subject(),
        http_status: error.http_status(),
        retryable: error.is_retryable(),
        used,
        limit,
    };
    exception(py, &error.to_string(), &details).unwrap_or_else(|other| other)
}

/// An argument that can't be used, as the core would say it.
pub fn invalid(py: Python<'_>, subject: &str, message: &str) -> PyErr {
    own(py, ErrorKind::InvalidArgument, subject, &format!("{subject}: {message}"))
}

/// A defect of mapstore.
pub fn panicked(py: Python<'_>, message: String) -> PyErr {
    own(py, ErrorKind::Internal, "mapstore", &message)
}

fn own(py: Python<'_>, kind: ErrorKind, subject: &str, message: &str) -> PyErr {
    let details = Details { kind, subject, http_status: None, retryable: false, used: None, limit: None };
    exception(py, message, &details).unwrap_or_else(|other| other)
}

/// Runs no Python code: a daemon thread that gave way to another one within
/// it, while the interpreter ends, would be unwound through this frame.
fn exception(py: Python<'_>, message: &str, details: &Details<'_>) -> PyResult<PyErr> {
    let classes = EXCEPTIONS.get(py).expect("`mapstore` is imported before its native module is used");
    let class = classes.bind(py).as_any().get_item(details.kind.name())?;
    let exception = class.call1((message,))?;
    exception.setattr("kind", details.kind.name())?;
    exception.setattr("code", details.kind.code())?;
    exception.setattr("subject", details.subject)?;
    exception.setattr("http_status", details.http_status)?;
    exception.setattr("retryable", details.retryable)?;
    exception.setattr("used", details.used)?;
    exception.setattr("limit", details.limit)?;
    Ok(PyErr::from_value(exception))
}

/// A key. The core says which keys are allowed.
pub struct Key(pub String);

impl FromPyObject<'_, '_> for Key {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        text(object, "key").map(Key)
    }
}

/// A name, a namespace, a context or the like.
pub struct Text(pub String);

impl FromPyObject<'_, '_> for Text {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        text(object, "name").map(Text)
    }
}

fn text(object: Borrowed<'_, '_, PyAny>, what: &str) -> PyResult<String> {
    let Ok(string) = object.cast::<PyString>() else {
        let hint = if object.is_instance_of::<PyBytes>() { ": decode it" } else { "" };
        return Err(PyTypeError::new_err(format!("a {what} is str, not {}{hint}", type_name(&object))));
    };
    match string.to_cow() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => {
            let quoted = string.to_string_lossy().replace('\u{fffd}', "?");
            let why = "it holds a surrogate, which is no character; was it decoded with surrogateescape?";
            Err(invalid(object.py(), &format!("{what} {quoted:?}"), why))
        }
    }
}

fn type_name(object: &Bound<'_, PyAny>) -> String {
    object.get_type().name().map_or_else(|_| "object".into(), |name| name.to_string())
}

/// The bytes of anything bytes-like: a copy, since another thread may change it meanwhile.
pub fn bytes_of(value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(bytes.as_bytes().to_vec());
    }
    if value.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err("a value is bytes, not str: encode it, value.encode()"));
    }
    let py = value.py();
    let view = py.get_type::<pyo3::types::PyMemoryView>().call1((value,)).map_err(|error| {
        if error.is_instance_of::<PyTypeError>(py) {
            PyTypeError::new_err(format!("a value is bytes or bytes-like, not {}", type_name(value)))
        } else {
            // Bytes-like, but released or closed: Python says which.
            error
        }
    })?;
    Ok(view.call_method0("tobytes")?.cast_into::<PyBytes>()?.as_bytes().to_vec())
}

pub fn optional_bytes(value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Vec<u8>>> {
    value.map(bytes_of).transpose()
}

/// Seconds as a duration. The core says which ones are allowed, as far as a duration can hold them.
pub fn duration(py: Python<'_>, seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| invalid(py, "timeout", &format!("{seconds} s is not between 1 ms and 24 h")))
}

pub type Written = (Option<String>, bool);

pub fn written(written: mapstore::Written) -> Written {
    (written.revision.map(|revision| revision.to_string()), written.changed)
}
