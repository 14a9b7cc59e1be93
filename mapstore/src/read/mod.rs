//! Reads: from the API server, or from the memory that the writer keeps.

pub(crate) mod cache;
pub(crate) mod reader;
