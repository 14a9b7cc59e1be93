//! The store: every operation, converted.

use std::sync::Mutex;

use mapstore::{Cache, ErrorKind};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::batch::Batch;
use crate::call::{Cancel, Limits, Timeout, at_once, settings};
use crate::convert::{Key, Text, Written, bytes_of, optional_bytes, written};
use crate::detach::detached;
use crate::options::{Place, cache_mode};
use crate::snapshot::Snapshot;
use crate::update::Update;

#[pyclass(frozen, module = "mapstore._native")]
pub struct Store {
    store: mapstore::Store,
    cached: bool,
}

impl Store {
    fn run<T: Send>(
        &self,
        py: Python<'_>,
        (timeout, cancel): (Timeout, Cancel<'_, '_>),
        work: impl FnOnce(mapstore::Store) -> mapstore::Result<T> + Send,
    ) -> PyResult<T> {
        let limits = Limits::new(py, timeout, cancel)?;
        limits.blocking(py, || work(self.store.with(&limits.call)))
    }

    /// Makes a read. A read from memory doesn't wait, so that the GIL is kept.
    fn look<T: Send>(
        &self,
        py: Python<'_>,
        (timeout, cancel): (Timeout, Cancel<'_, '_>),
        work: impl FnOnce(mapstore::Store) -> mapstore::Result<T> + Send,
    ) -> PyResult<T> {
        if self.cached {
            let call = settings(py, timeout, cancel)?;
            return at_once(py, || work(self.store.with(&call)));
        }
        self.run(py, (timeout, cancel), work)
    }
}

#[pymethods]
impl Store {
    #[new]
    #[allow(clippy::too_many_arguments, reason = "Python's keywords")]
    fn new(
        py: Python<'_>,
        name: Text,
        namespace: Option<Text>,
        kubeconfig: Option<Vec<u8>>,
        context: Option<Text>,
        cache: Text,
        timeout: f64,
        text_values: bool,
        binary_only: bool,
        strict_lookup: bool,
        write_budget: Option<u64>,
        cancel: Cancel<'_, '_>,
    ) -> PyResult<Self> {
        let mode = cache_mode(py, &cache)?;
        let place = Place { name, namespace, kubeconfig, context };
        let mut options = place.options(py, timeout)?.cache(mode).text_values(text_values);
        options = options.binary_only(binary_only).strict_lookup(strict_lookup);
        if let Some(budget) = write_budget {
            options = options.write_budget(budget);
        }
        let limits = Limits::new(py, None, cancel)?;
        let store = limits.blocking(py, || options.open_with(&limits.call))?;
        Ok(Store { store, cached: mode != Cache::None })
    }

    #[getter]
    fn name(&self) -> &str {
        self.store.name()
    }

    #[getter]
    fn namespace(&self) -> &str {
        self.store.namespace()
    }

    /// `None`: there is no such key.
    #[pyo3(signature = (key, timeout=None, cancel=None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        key: Key,
        timeout: Timeout,
        cancel: Cancel<'_, '_>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let found = if self.cached && timeout.is_none() && cancel.is_none() {
            at_once(py, || self.store.get(&key.0))?
        } else {
            self.look(py, (timeout, cancel), |store| store.get(&key.0))?
        };
        Ok(found.map(|value| PyBytes::new(py, &value)))
    }

    #[pyo3(signature = (key, timeout=None, cancel=None))]
    fn contains(&self, py: Python<'_>, key: Key, timeout: Timeout, cancel: Cancel<'_, '_>) -> PyResult<bool> {
        self.look(py, (timeout, cancel), |store| store.contains(&key.0))
    }

    #[pyo3(signature = (timeout=None, cancel=None))]
    fn len(&self, py: Python<'_>, timeout: Timeout, cancel: Cancel<'_, '_>) -> PyResult<usize> {
        self.look(py, (timeout, cancel), |store| store.len())
    }

    #[pyo3(signature = (timeout=None, cancel=None))]
    fn snapshot(&self, py: Python<'_>, timeout: Timeout, cancel: Cancel<'_, '_>) -> PyResult<Snapshot> {
        Ok(Snapshot(self.look(py, (timeout, cancel), |store| store.snapshot())?))
    }

    #[pyo3(signature = (key, value, timeout=None, cancel=None))]
    fn set(
        &self,
        py: Python<'_>,
        key: Key,
        value: &Bound<'_, PyAny>,
        timeout: Timeout,
        cancel: Cancel<'_, '_>,
    ) -> PyResult<Written> {
        let value = bytes_of(value)?;
        Ok(written(self.run(py, (timeout, cancel), |store| store.set(&key.0, value))?))
    }

    #[pyo3(signature = (key, value, timeout=None, cancel=None))]
    fn force_set(
        &self,
        py: Python<'_>,
        key: Key,
        value: &Bound<'_, PyAny>,
        timeout: Timeout,
        cancel: Cancel<'_, '_>,
    ) -> PyResult<Written> {
        let value = bytes_of(value)?;
        Ok(written(self.run(py, (timeout, cancel), |store| store.force_set(&key.0, value))?))
    }

    #[pyo3(signature = (key, timeout=None, cancel=None))]
    fn delete(
        &self,
        py: Python<'_>,
        key: Key,
        timeout: Timeout,
        cancel: Cancel<'_, '_>,
    ) -> PyResult<Written> {
        Ok(written(self.run(py, (timeout, cancel), |store| store.delete(&key.0))?))
    }

    #[pyo3(signature = (timeout=None, cancel=None))]
    fn truncate(&self, py: Python<'_>, timeout: Timeout, cancel: Cancel<'_, '_>) -> PyResult<Written> {
        Ok(written(self.run(py, (timeout, cancel), |store| store.truncate())?))
    }

    #[pyo3(signature = (batch, timeout=None, cancel=None))]
    fn apply(
        &self,
        py: Python<'_>,
        batch: &Bound<'_, Batch>,
        timeout: Timeout,
        cancel: Cancel<'_, '_>,
    ) -> PyResult<Written> {
        let batch = batch.get().core().clone();
        Ok(written(self.run(py, (timeout, cancel), |store| store.apply(&batch))?))
    }

    #[pyo3(signature = (key, expected, value, timeout=None, cancel=None))]
    fn compare_and_set(
        &self,
        py: Python<'_>,
        key: Key,
        expected: Option<&Bound<'_, PyAny>>,
        value: Option<&Bound<'_, PyAny>>,
        timeout: Timeout,
        cancel: Cancel<'_, '_>,
    ) -> PyResult<Written> {
        let (expected, value) = (optional_bytes(expected)?, optional_bytes(value)?);
        let done = self.run(py, (timeout, cancel), |store| {
            store.compare_and_set(&key.0, expected.as_deref(), value.as_deref())
        })?;
        Ok(written(done))
    }

    #[pyo3(signature = (key, timeout=None, cancel=None))]
    fn begin_update(
        &self,
        py: Python<'_>,
        key: Key,
        timeout: Timeout,
        cancel: Cancel<'_, '_>,
    ) -> PyResult<Update> {
        let limits = Limits::new(py, timeout, cancel)?;
        let update = limits.blocking(py, || self.store.with(&limits.call).begin_update(&key.0))?;
        Ok(Update { update: Mutex::new(update), limits })
    }

    #[pyo3(signature = (timeout=None, cancel=None))]
    fn refresh(&self, py: Python<'_>, timeout: Timeout, cancel: Cancel<'_, '_>) -> PyResult<()> {
        self.run(py, (timeout, cancel), |store| store.refresh())
    }

    #[pyo3(signature = (timeout=None, cancel=None))]
    fn usage(&self, py: Python<'_>, timeout: Timeout, cancel: Cancel<'_, '_>) -> PyResult<[u64; 8]> {
        let usage = self.look(py, (timeout, cancel), |store| store.usage())?;
        Ok([
            usage.keys,
            usage.key_bytes,
            usage.value_bytes,
            usage.value_limit,
            usage.object_bytes,
            usage.object_limit,
            usage.budget_used,
            usage.budget_limit,
        ])
    }

    #[pyo3(signature = (timeout=None, cancel=None))]
    fn verify_connection(&self, py: Python<'_>, timeout: Timeout, cancel: Cancel<'_, '_>) -> PyResult<()> {
        self.run(py, (timeout, cancel), |store| store.verify_connection())
    }

    /// In a forked child there is nothing to close: what a `with` or an `atexit`
    /// of the parent does there must not end in an exception.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let closed = detached(py, || mapstore::panics::caught(|| self.store.close()));
        match closed {
            Ok(Err(error)) if error.kind() == ErrorKind::Forked => Ok(()),
            Ok(closed) => at_once(py, || closed),
            Err(panic) => Err(crate::convert::panicked(py, panic)),
        }
    }
}
