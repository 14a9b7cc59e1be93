//! A key/value store over one Kubernetes ConfigMap.
//!
//! The store is blocking: every call returns within its deadline (ten seconds
//! unless told otherwise) or as soon as its [`CancelToken`] is cancelled. It
//! brings its own I/O thread and must not be called from async code: there it
//! returns an error; use `spawn_blocking`.
//!
//! ```no_run
//! use mapstore::Store;
//!
//! # fn main() -> mapstore::Result<()> {
//! let store = Store::open("my-settings")?;
//! store.set("colour", "blue")?;
//! assert_eq!(store.get("colour")?.as_deref(), Some(&b"blue"[..]));
//! # Ok(())
//! # }
//! ```
//!
//! What every call promises is written in `docs/contract.md`, and why it is
//! built as it is in `docs/design.md`.

#![warn(missing_docs)]

mod call;
mod config;
mod error;
mod host;
mod map;
mod model;
#[cfg(test)]
mod mutate;
mod options;
mod read;
mod server;
mod store;
mod update;
mod write;

pub use call::Call;
pub use error::{Error, ErrorKind, Result};
pub use host::cancel::CancelToken;
/// For the bindings.
#[doc(hidden)]
pub use host::panics;
pub use model::{
    Batch, MAX_KEY_BYTES, MAX_OBJECT_BYTES, MAX_VALUES_BYTES, Revision, Snapshot, Usage, Value, Written,
};
pub use options::{Cache, Options};
pub use store::{Store, verify_connection};
pub use update::Update;

/// The examples of the README, as doc tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
