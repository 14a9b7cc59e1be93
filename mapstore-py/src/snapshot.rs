//! The whole map at one revision.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

#[pyclass(frozen, module = "mapstore._native")]
pub struct Snapshot(pub mapstore::Snapshot);

#[pymethods]
impl Snapshot {
    #[getter]
    fn revision(&self) -> Option<String> {
        self.0.revision().map(ToString::to_string)
    }

    fn value<'py>(&self, py: Python<'py>, key: &str) -> Option<Bound<'py, PyBytes>> {
        self.0.get(key).map(|value| PyBytes::new(py, value))
    }

    fn names(&self) -> Vec<&str> {
        self.0.keys().collect()
    }

    fn count(&self) -> usize {
        self.0.len()
    }
}
