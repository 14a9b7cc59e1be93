//! Where a store is, and how it works.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use mapstore::{Cache, Options};
use pyo3::prelude::*;

use crate::call::{Cancel, Limits};
use crate::convert::{Text, duration, invalid};

/// What says which map of which cluster, for `open` and `verify_connection`
/// alike. The path comes as bytes: asking an object for its path is Python code.
pub struct Place {
    pub name: Text,
    pub namespace: Option<Text>,
    pub kubeconfig: Option<Vec<u8>>,
    pub context: Option<Text>,
}

impl Place {
    pub fn options(self, py: Python<'_>, timeout: f64) -> PyResult<Options> {
        let mut options = Options::new(&*self.name.0).timeout(duration(py, timeout)?);
        if let Some(namespace) = self.namespace {
            options = options.namespace(namespace.0);
        }
        if let Some(kubeconfig) = self.kubeconfig {
            options = options.kubeconfig(OsString::from_vec(kubeconfig));
        }
        if let Some(context) = self.context {
            options = options.context(context.0);
        }
        Ok(options)
    }
}

pub fn cache_mode(py: Python<'_>, cache: &Text) -> PyResult<Cache> {
    match &*cache.0 {
        "none" => Ok(Cache::None),
        "exclusive" => Ok(Cache::Exclusive),
        other => Err(invalid(py, "cache", &format!("{other:?} is none of \"none\" and \"exclusive\""))),
    }
}

/// Whether a store opened like this could work. Changes nothing.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "Python's keywords")]
pub fn verify_connection(
    py: Python<'_>,
    name: Text,
    namespace: Option<Text>,
    kubeconfig: Option<Vec<u8>>,
    context: Option<Text>,
    timeout: f64,
    strict_lookup: bool,
    cancel: Cancel<'_, '_>,
) -> PyResult<()> {
    let options = Place { name, namespace, kubeconfig, context }.options(py, timeout)?;
    let options = options.strict_lookup(strict_lookup);
    let limits = Limits::new(py, None, cancel)?;
    limits.blocking(py, || options.verify_connection(&limits.call))
}
