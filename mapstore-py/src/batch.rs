//! Several changes with their conditions.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;

use crate::convert::{bytes_of, raise};

#[pyclass(frozen, module = "mapstore._native")]
pub struct Batch(Mutex<mapstore::Batch>);

impl Batch {
    pub fn core(&self) -> MutexGuard<'_, mapstore::Batch> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add<'py>(
        slf: PyRef<'py, Self>,
        step: impl FnOnce(&mut mapstore::Batch) -> mapstore::Result<()>,
    ) -> PyResult<PyRef<'py, Self>> {
        let added = step(&mut slf.core());
        added.map_err(|error| raise(slf.py(), &error))?;
        Ok(slf)
    }
}

#[pymethods]
impl Batch {
    #[new]
    fn new() -> Self {
        Batch(Mutex::default())
    }

    fn set<'py>(slf: PyRef<'py, Self>, key: &str, value: &Bound<'_, PyAny>) -> PyResult<PyRef<'py, Self>> {
        let value = bytes_of(value)?;
        Self::add(slf, |batch| batch.set(key, value).map(drop))
    }

    fn force_set<'py>(
        slf: PyRef<'py, Self>,
        key: &str,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<PyRef<'py, Self>> {
        let value = bytes_of(value)?;
        Self::add(slf, |batch| batch.force_set(key, value).map(drop))
    }

    fn delete<'py>(slf: PyRef<'py, Self>, key: &str) -> PyResult<PyRef<'py, Self>> {
        Self::add(slf, |batch| batch.delete(key).map(drop))
    }

    fn truncate(slf: PyRef<'_, Self>) -> PyResult<PyRef<'_, Self>> {
        Self::add(slf, |batch| batch.truncate().map(drop))
    }

    fn if_absent<'py>(slf: PyRef<'py, Self>, key: &str) -> PyResult<PyRef<'py, Self>> {
        Self::add(slf, |batch| batch.if_absent(key).map(drop))
    }

    fn if_present<'py>(slf: PyRef<'py, Self>, key: &str) -> PyResult<PyRef<'py, Self>> {
        Self::add(slf, |batch| batch.if_present(key).map(drop))
    }

    fn if_equals<'py>(
        slf: PyRef<'py, Self>,
        key: &str,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<PyRef<'py, Self>> {
        let value = bytes_of(value)?;
        Self::add(slf, |batch| batch.if_equals(key, value).map(drop))
    }

    fn if_revision<'py>(slf: PyRef<'py, Self>, revision: &str) -> PyResult<PyRef<'py, Self>> {
        Self::add(slf, |batch| batch.if_revision(revision).map(drop))
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.core())
    }
}
