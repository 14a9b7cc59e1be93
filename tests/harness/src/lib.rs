//! What every test of this workspace stands on: a cluster (the real API server, the in-memory one, or the user's),
//! changes made to it from outside, programs run in a clean environment, ports that misbehave, and a proxy that counts,
//! holds and drops requests.
//!
//! No cluster is ever used because the environment happens to name one: KUBECONFIG, `~/.kube/config` and a pod's
//! service account are neither read here nor handed to a program.

mod client;
mod cluster;
mod dev;
mod error;
mod kubeconfig;
mod lateness;
mod network;
mod port;
mod program;
pub mod proxy;
mod real;
mod scratch;
mod user;

pub use client::{Client, Media, Reply};
pub use cluster::{Access, Cluster, Kind, User};
pub use error::{Error, Result};
pub use kubeconfig::Sections;
pub use lateness::Lateness;
pub use network::{BlackHole, CloseAfter, ClosedPort, TricklePort};
pub use program::{LineProgram, Silence, clean_command};
pub use scratch::Scratch;
