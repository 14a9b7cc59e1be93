//! A read-modify-write under way.

use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::call::Limits;
use crate::convert::{Written, optional_bytes, written};

#[pyclass(frozen, module = "mapstore._native")]
pub struct Update {
    pub update: Mutex<mapstore::Update>,
    /// The limits of all commits: the thread that began the update should commit.
    pub limits: Limits,
}

#[pymethods]
impl Update {
    /// `None`: there is no such key.
    fn value<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        let update = self.update.lock().unwrap_or_else(PoisonError::into_inner);
        update.value().map(|value| PyBytes::new(py, value))
    }

    /// `value` `None`: removes the key. The result `None`: somebody else was faster.
    #[pyo3(signature = (value))]
    fn commit(&self, py: Python<'_>, value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Written>> {
        let value = optional_bytes(value)?;
        let done = self.limits.blocking(py, || {
            self.update.lock().unwrap_or_else(PoisonError::into_inner).commit(value.as_deref())
        })?;
        Ok(done.map(written))
    }
}
