//! The API server: the requests, the connection they go over, what its answers
//! are, and what is tried again.

pub(crate) mod api;
pub(crate) mod connection;
pub(crate) mod connector;
pub(crate) mod credentials;
pub(crate) mod failure;
#[cfg(test)]
mod hostile;
pub(crate) mod lines;
pub(crate) mod lookup;
mod recent;
pub(crate) mod retry;
pub(crate) mod status;
pub(crate) mod tls;
pub(crate) mod verify;
pub(crate) mod wire;
pub(crate) mod x509;
