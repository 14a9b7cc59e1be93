//! Several changes with their conditions.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;

use crate::call::at_once;
use crate::convert::{Key, Text, bytes_of};

/// Several changes that are made together or not at all: see Store.apply.
///
/// Every method but the constructor gives the batch itself, so that they can
/// be chained. A later change of a key replaces an earlier one.
#[pyclass(frozen, module = "mapstore")]
pub struct Batch(Mutex<mapstore::Batch>);

type This<'py> = PyRef<'py, Batch>;

impl Batch {
    pub fn core(&self) -> MutexGuard<'_, mapstore::Batch> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(
        slf: This<'_>,
        step: impl FnOnce(&mut mapstore::Batch) -> mapstore::Result<()>,
    ) -> PyResult<This<'_>> {
        at_once(slf.py(), || step(&mut slf.core()))?;
        Ok(slf)
    }
}

#[pymethods]
impl Batch {
    #[new]
    fn new() -> Self {
        Batch(Mutex::default())
    }

    /// Stores a value, unless it is stored already.
    fn set<'py>(slf: This<'py>, key: Key, value: &Bound<'_, PyAny>) -> PyResult<This<'py>> {
        let value = bytes_of(value)?;
        Self::add(slf, |batch| batch.set(&key.0, value).map(drop))
    }

    /// Stores a value in a new revision, even if it is stored already.
    fn force_set<'py>(slf: This<'py>, key: Key, value: &Bound<'_, PyAny>) -> PyResult<This<'py>> {
        let value = bytes_of(value)?;
        Self::add(slf, |batch| batch.force_set(&key.0, value).map(drop))
    }

    /// Removes a key. A missing one is fine.
    fn delete(slf: This<'_>, key: Key) -> PyResult<This<'_>> {
        Self::add(slf, |batch| batch.delete(&key.0).map(drop))
    }

    /// Removes every key, other writers' too.
    fn truncate(slf: This<'_>) -> PyResult<This<'_>> {
        Self::add(slf, |batch| batch.truncate().map(drop))
    }

    /// Makes the changes only if there is no such key.
    fn if_absent(slf: This<'_>, key: Key) -> PyResult<This<'_>> {
        Self::add(slf, |batch| batch.if_absent(&key.0).map(drop))
    }

    /// Makes the changes only if there is such a key.
    fn if_present(slf: This<'_>, key: Key) -> PyResult<This<'_>> {
        Self::add(slf, |batch| batch.if_present(&key.0).map(drop))
    }

    /// Makes the changes only if the key has exactly this value.
    fn if_equals<'py>(slf: This<'py>, key: Key, value: &Bound<'_, PyAny>) -> PyResult<This<'py>> {
        let value = bytes_of(value)?;
        Self::add(slf, |batch| batch.if_equals(&key.0, value).map(drop))
    }

    /// Makes the changes only if the map is still at this revision.
    fn if_revision(slf: This<'_>, revision: Text) -> PyResult<This<'_>> {
        Self::add(slf, |batch| batch.if_revision(&revision.0).map(drop))
    }

    fn __repr__(&self) -> String {
        format!("<mapstore.{:?}>", self.core())
    }
}
