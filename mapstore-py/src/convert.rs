//! From Python's objects to the core's, and the core's errors to Python's.

use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyString};

/// The exception for an error: `mapstore._errors` knows the classes.
pub fn raise(py: Python<'_>, error: &mapstore::Error) -> PyErr {
    let (used, limit) = error.used_and_limit().map_or((None, None), |(used, limit)| (used, Some(limit)));
    let details =
        (error.kind().name(), error.code(), error.to_string(), error.subject(), error.http_status());
    match maker(py).and_then(|make| make.call1((details, error.is_retryable(), used, limit))) {
        Ok(exception) => PyErr::from_value(exception),
        Err(other) => other,
    }
}

fn maker(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static MAKER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    MAKER.import(py, "mapstore._errors", "from_native")
}

/// An argument that can't be used, as the core would say it.
pub fn invalid(py: Python<'_>, subject: &str, message: &str) -> PyErr {
    let kind = mapstore::ErrorKind::InvalidArgument;
    let details = (kind.name(), kind.code(), format!("{subject}: {message}"), subject, None::<u16>);
    match maker(py).and_then(|make| make.call1((details, false, None::<u64>, None::<u64>))) {
        Ok(exception) => PyErr::from_value(exception),
        Err(other) => other,
    }
}

/// The bytes of anything bytes-like: a copy, since another thread may change it meanwhile.
pub fn bytes_of(value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(bytes.as_bytes().to_vec());
    }
    if value.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err("a value is bytes, not str: encode it, value.encode()"));
    }
    let view = value.py().import("builtins")?.getattr("memoryview")?.call1((value,)).map_err(|_| {
        let kind = value.get_type().name().map_or_else(|_| "object".into(), |name| name.to_string());
        PyTypeError::new_err(format!("a value is bytes or bytes-like, not {kind}"))
    })?;
    Ok(view.call_method0("tobytes")?.cast_into::<PyBytes>()?.as_bytes().to_vec())
}

pub fn optional_bytes(value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Vec<u8>>> {
    value.map(bytes_of).transpose()
}

/// Seconds; which ones are allowed is said by the core, as far as it can be told.
pub fn duration(py: Python<'_>, seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| invalid(py, "timeout", &format!("{seconds} s is not between 1 ms and 24 h")))
}

pub type Written = (Option<String>, bool);

pub fn written(written: mapstore::Written) -> Written {
    (written.revision.map(|revision| revision.to_string()), written.changed)
}
