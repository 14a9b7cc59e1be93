//! The Python module: converts, calls the core once, maps. What makes a store
//! a mapping, and the exceptions, are Python's own, in `python/mapstore`.

mod batch;
mod call;
mod convert;
mod detach;
mod options;
mod snapshot;
mod store;
mod update;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

#[pymodule]
#[pyo3(name = "_native")]
fn native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    refuse_subinterpreter()?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<store::Store>()?;
    module.add_class::<snapshot::Snapshot>()?;
    module.add_class::<batch::Batch>()?;
    module.add_class::<call::CancelToken>()?;
    module.add_class::<update::Update>()?;
    module.add_function(wrap_pyfunction!(convert::first_exceptions, module)?)?;
    module.add_function(wrap_pyfunction!(options::verify_connection, module)?)
}

/// What is kept between calls belongs to one interpreter; another one that used
/// it would work with foreign objects.
fn refuse_subinterpreter() -> PyResult<()> {
    // SAFETY: a module is initialized by a thread that is attached to its interpreter.
    let interpreter = unsafe { pyo3::ffi::PyInterpreterState_GetID(pyo3::ffi::PyInterpreterState_Get()) };
    if interpreter == 0 {
        return Ok(());
    }
    Err(PyImportError::new_err(
        "mapstore works in the main interpreter only: use it from there, or from a process",
    ))
}
