//! The whole map at one revision.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::convert::Key;

#[pyclass(frozen, module = "mapstore._native")]
pub struct Snapshot(pub mapstore::Snapshot);

#[pymethods]
impl Snapshot {
    #[getter]
    fn revision(&self) -> Option<String> {
        self.0.revision().map(ToString::to_string)
    }

    /// `None`: there is no such key.
    fn get<'py>(&self, py: Python<'py>, key: Key) -> Option<Bound<'py, PyBytes>> {
        self.0.get(&key.0).map(|value| PyBytes::new(py, value))
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().collect()
    }
}
