//! The servers that a test is run on: mapstore-dev always, the real API server
//! if `MAPSTORE_APISERVER_DIR` names its folder, a cluster of the user's if
//! `MAPSTORE_TEST_KUBECONFIG` names its kubeconfig.

use std::env;

use mapstore_harness::{Cluster, Kind};

/// One after the other, each started when it is its turn.
pub fn all() -> impl Iterator<Item = Cluster> {
    let given = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    let kinds = [
        (Kind::Dev, true),
        (Kind::Real, given("MAPSTORE_APISERVER_DIR")),
        (Kind::User, given("MAPSTORE_TEST_KUBECONFIG")),
    ];
    let wanted = kinds.into_iter().filter(|(_, wanted)| *wanted);
    wanted.map(|(kind, _)| Cluster::start(kind).unwrap_or_else(|error| panic!("{}: {error}", kind.name())))
}
