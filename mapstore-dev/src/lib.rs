//! A loopback Kubernetes API server for ConfigMaps and Leases, in memory: for demos and
//! for the tests of programs that use mapstore, or any Kubernetes client.
//!
//! It answers like kube-apiserver v1.36 as far as these go; README.md
//! lists what it doesn't do. It is never started by a store on its own.
//!
//! Layers, each importing those below only:
//! - [`DevServer`] (`server`), `http`, `tls`, `kubeconfig`: threads, sockets, files.
//! - `api`: who, may they, which handler.
//! - `objects`, `list`, `watch`, `namespaces`, `discovery`: the handlers; `render`:
//!   answers as bytes.
//! - `state` and its `history`: what is stored, and what was.
//! - `request` and `query`: what was asked for; `admission`, `managed`, `patch`,
//!   `validate`, `auth`, `size` and the other pure parts, tested where they are.

mod admission;
mod answer;
mod api;
mod auth;
mod decode;
mod discovery;
mod field;
mod gostr;
mod history;
mod http;
mod json;
mod jsonpatch;
mod kind;
mod kubeconfig;
mod list;
mod managed;
mod names;
mod namespaces;
mod negotiate;
mod object;
mod objects;
mod patch;
mod protobuf;
mod query;
mod random;
mod render;
mod request;
mod selector;
mod server;
mod size;
mod state;
mod status;
mod strategic;
mod tls;
mod validate;
mod watch;

/// The README's example is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use auth::{Rule, User};
pub use server::{Builder, DevServer};
/// For mapstore's own tests of what a patch means.
#[doc(hidden)]
pub use strategic::merge as strategic_merge;
