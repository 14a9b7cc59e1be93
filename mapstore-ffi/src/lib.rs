//! The C ABI of mapstore: convert, call the core once, map the result.
//!
//! A file per C type, and no semantics: what a call means is the core's
//! business. Every exported function is plain `extern "C"` (cbindgen doesn't
//! see functions that macros emit) and its body is exactly one guard of
//! [`guard`]; `tests/guard.rs` fails on any other. The header is generated
//! from these files, their documentation included: `tests/header.rs`.

#![deny(unsafe_op_in_unsafe_fn)]
#![warn(clippy::undocumented_unsafe_blocks)]
// What a caller has to keep to is in the header's conventions, not in each function's "Safety".
#![allow(clippy::missing_safety_doc)]

// The groups, in the order of the header.

mod abi;
mod library;

mod code;
mod error;

mod options;

mod call;
mod cancel_token;

mod store;

mod batch;
mod update;

mod keys;
mod snapshot;
mod usage;
mod value;
mod written;

mod guard;
mod pointer;

#[cfg(feature = "panic-test")]
mod panic_test;
