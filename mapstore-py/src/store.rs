//! The store: every operation, converted.

use std::path::PathBuf;
use std::sync::Mutex;

use mapstore::{Cache, Options};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::batch::Batch;
use crate::call::{CancelToken, Limits};
use crate::convert::{Written, bytes_of, duration, invalid, optional_bytes, raise, written};
use crate::snapshot::Snapshot;
use crate::update::Update;

#[pyclass(subclass, frozen, weakref, module = "mapstore._native")]
pub struct Store {
    store: mapstore::Store,
    cached: bool,
}

type Timeout = Option<f64>;
type Cancel<'a, 'py> = Option<&'a Bound<'py, CancelToken>>;

#[allow(clippy::too_many_arguments, reason = "Python's keywords")]
fn options(
    py: Python<'_>,
    name: &str,
    namespace: Option<String>,
    kubeconfig: Option<PathBuf>,
    context: Option<String>,
    cache: &str,
    timeout: f64,
    (text_values, binary_only, strict_lookup): (bool, bool, bool),
    write_budget: Option<u64>,
) -> PyResult<(Options, bool)> {
    let mode = match cache {
        "none" => Cache::None,
        "exclusive" => Cache::Exclusive,
        other => {
            return Err(invalid(py, "cache", &format!("{other:?} is none of \"none\" and \"exclusive\"")));
        }
    };
    let mut options = Options::new(name)
        .cache(mode)
        .timeout(duration(py, timeout)?)
        .text_values(text_values)
        .binary_only(binary_only)
        .strict_lookup(strict_lookup);
    if let Some(namespace) = namespace {
        options = options.namespace(namespace);
    }
    if let Some(kubeconfig) = kubeconfig {
        options = options.kubeconfig(kubeconfig);
    }
    if let Some(context) = context {
        options = options.context(context);
    }
    if let Some(budget) = write_budget {
        options = options.write_budget(budget);
    }
    Ok((options, mode != Cache::None))
}

/// Whether a store opened like this could work. Changes nothing.
#[pyfunction]
#[pyo3(signature = (name, *, namespace=None, kubeconfig=None, context=None, timeout=10.0, strict_lookup=false,
                    cancel=None))]
#[allow(clippy::too_many_arguments, reason = "Python's keywords")]
pub fn verify_connection(
    py: Python<'_>,
    name: &str,
    namespace: Option<String>,
    kubeconfig: Option<PathBuf>,
    context: Option<String>,
    timeout: f64,
    strict_lookup: bool,
    cancel: Cancel<'_, '_>,
) -> PyResult<()> {
    let flags = (false, false, strict_lookup);
    let (options, _) = options(py, name, namespace, kubeconfig, context, "none", timeout, flags, None)?;
    let limits = Limits::new(py, None, cancel)?;
    limits.blocking(py, || options.verify_connection(&limits.call))
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

    /// A read: from memory it doesn't block, so that the GIL is kept.
    fn look<T: Send>(
        &self,
        py: Python<'_>,
        (timeout, cancel): (Timeout, Cancel<'_, '_>),
        work: impl FnOnce(mapstore::Store) -> mapstore::Result<T> + Send,
    ) -> PyResult<T> {
        if self.cached {
            let limits = Limits::new(py, timeout, cancel)?;
            return work(self.store.with(&limits.call)).map_err(|error| raise(py, &error));
        }
        self.run(py, (timeout, cancel), work)
    }
}

#[pymethods]
impl Store {
    #[new]
    #[pyo3(signature = (name, *, namespace=None, kubeconfig=None, context=None, cache="none", timeout=10.0,
                        text_values=false, binary_only=false, strict_lookup=false, write_budget=None, cancel=None))]
    #[allow(clippy::too_many_arguments, reason = "Python's keywords")]
    fn new(
        py: Python<'_>,
        name: &str,
        namespace: Option<String>,
        kubeconfig: Option<PathBuf>,
        context: Option<String>,
        cache: &str,
        timeout: f64,
        text_values: bool,
        binary_only: bool,
        strict_lookup: bool,
        write_budget: Option<u64>,
        cancel: Cancel<'_, '_>,
    ) -> PyResult<Self> {
        let flags = (text_values, binary_only, strict_lookup);
        let (options, cached) =
            options(py, name, namespace, kubeconfig, context, cache, timeout, flags, write_budget)?;
        let limits = Limits::new(py, None, cancel)?;
        let store = limits.blocking(py, || options.open_with(&limits.call))?;
        Ok(Store { store, cached })
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
    fn find_value<'py>(
        &self,
        py: Python<'py>,
        key: &str,
        timeout: Timeout,
        cancel: Cancel<'_, '_>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let found = if self.cached && timeout.is_none() && cancel.is_none() {
            self.store.get(key).map_err(|error| raise(py, &error))?
        } else {
            self.look(py, (timeout, cancel), |store| store.get(key))?
        };
        Ok(found.map(|value| PyBytes::new(py, &value)))
    }

    #[pyo3(signature = (key, *, timeout=None, cancel=None))]
    fn contains(
        &self,
        py: Python<'_>,
        key: &str,
        timeout: Timeout,
        cancel: Cancel<'_, '_>,
    ) -> PyResult<bool> {
        self.look(py, (timeout, cancel), |store| store.contains(key))
    }

    #[pyo3(signature = (*, timeout=None, cancel=None))]
    fn len(&self, py: Python<'_>, timeout: Timeout, cancel: Cancel<'_, '_>) -> PyResult<usize> {
        self.look(py, (timeout, cancel), |store| store.len())
    }

    #[pyo3(signature = (timeout=None, cancel=None))]
    fn take_snapshot(&self, py: Python<'_>, timeout: Timeout, cancel: Cancel<'_, '_>) -> PyResult<Snapshot> {
        Ok(Snapshot(self.look(py, (timeout, cancel), |store| store.snapshot())?))
    }

    #[pyo3(signature = (key, value, timeout=None, cancel=None))]
    fn do_set(
        &self,
        py: Python<'_>,
        key: &str,
        value: &Bound<'_, PyAny>,
        timeout: Timeout,
        cancel: Cancel<'_, '_>,
    ) -> PyResult<Written> {
        let value = bytes_of(value)?;
        Ok(written(self.run(py, (timeout, cancel), |store| store.set(key, value))?))
    }

    #[pyo3(signature = (key, value, timeout=None, cancel=None))]
    fn do_force_set(
        &self,
        py: Python<'_>,
        key: &str,
        value: &Bound<'_, PyAny>,
        timeout: Timeout,
        cancel: Cancel<'_, '_>,
    ) -> PyResult<Written> {
        let value = bytes_of(value)?;
        Ok(written(self.run(py, (timeout, cancel), |store| store.force_set(key, value))?))
    }

    #[pyo3(signature = (key, timeout=None, cancel=None))]
    fn do_delete(
        &self,
        py: Python<'_>,
        key: &str,
        timeout: Timeout,
        cancel: Cancel<'_, '_>,
    ) -> PyResult<Written> {
        Ok(written(self.run(py, (timeout, cancel), |store| store.delete(key))?))
    }

    #[pyo3(signature = (timeout=None, cancel=None))]
    fn do_truncate(&self, py: Python<'_>, timeout: Timeout, cancel: Cancel<'_, '_>) -> PyResult<Written> {
        Ok(written(self.run(py, (timeout, cancel), |store| store.truncate())?))
    }

    #[pyo3(signature = (batch, timeout=None, cancel=None))]
    fn do_apply(
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
    fn do_compare_and_set(
        &self,
        py: Python<'_>,
        key: &str,
        expected: Option<&Bound<'_, PyAny>>,
        value: Option<&Bound<'_, PyAny>>,
        timeout: Timeout,
        cancel: Cancel<'_, '_>,
    ) -> PyResult<Written> {
        let (expected, value) = (optional_bytes(expected)?, optional_bytes(value)?);
        let done = self.run(py, (timeout, cancel), |store| {
            store.compare_and_set(key, expected.as_deref(), value.as_deref())
        })?;
        Ok(written(done))
    }

    #[pyo3(signature = (key, timeout=None, cancel=None))]
    fn begin_update(
        &self,
        py: Python<'_>,
        key: &str,
        timeout: Timeout,
        cancel: Cancel<'_, '_>,
    ) -> PyResult<Update> {
        let limits = Limits::new(py, timeout, cancel)?;
        let update = limits.blocking(py, || self.store.with(&limits.call).begin_update(key))?;
        Ok(Update { update: Mutex::new(update), limits })
    }

    #[pyo3(signature = (*, timeout=None, cancel=None))]
    fn refresh(&self, py: Python<'_>, timeout: Timeout, cancel: Cancel<'_, '_>) -> PyResult<()> {
        self.run(py, (timeout, cancel), |store| store.refresh())
    }

    #[pyo3(signature = (timeout=None, cancel=None))]
    fn find_usage(&self, py: Python<'_>, timeout: Timeout, cancel: Cancel<'_, '_>) -> PyResult<[u64; 8]> {
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

    #[pyo3(signature = (*, timeout=None, cancel=None))]
    fn verify_connection(&self, py: Python<'_>, timeout: Timeout, cancel: Cancel<'_, '_>) -> PyResult<()> {
        self.run(py, (timeout, cancel), |store| store.verify_connection())
    }

    /// Calls under way in other threads end with `ClosedError`, later ones too.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.store.close()).map_err(|error| raise(py, &error))
    }
}
