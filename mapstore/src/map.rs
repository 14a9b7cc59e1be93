//! One ConfigMap as all stores of a process share it, if they reach it at the
//! same server with the same credentials: one writer, one memory, and a
//! connection that other maps of the same cluster and user share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::config::Cluster;
use crate::host::process::PerProcess;
use crate::read::reader::Reader;
use crate::server::api::Api;
use crate::server::connection::Connection;
use crate::write::Writer;

pub(crate) struct Map {
    pub api: Arc<Api>,
    pub reader: Reader,
    pub writer: Arc<Writer>,
    /// How many stores use the map and aren't closed.
    users: AtomicUsize,
}

/// The maps that are open in this process.
pub(crate) static MAPS: PerProcess<Maps> = PerProcess::new();

#[derive(Default)]
pub(crate) struct Maps(Mutex<HashMap<Identity, Weak<Map>>>);

/// What has to be equal for two stores to share a map.
#[derive(PartialEq, Eq, Hash)]
struct Identity {
    /// Server, trust and credentials.
    cluster: String,
    namespace: String,
    name: String,
}

impl Maps {
    /// The map, for one store more. Each use ends with [`Map::leave`].
    pub fn open(&self, cluster: Cluster, namespace: String, name: String) -> Arc<Map> {
        let identity = Identity { cluster: cluster.identity(), namespace, name };
        let connection = Connection::to(cluster);
        let mut maps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        maps.retain(|_, map| map.strong_count() > 0);
        if let Some(map) = maps.get(&identity).and_then(Weak::upgrade) {
            if map.users.fetch_add(1, Ordering::SeqCst) == 0 {
                map.api.connection().enter();
            }
            return map;
        }
        connection.enter();
        let api = Api::new(connection, identity.namespace.clone(), identity.name.clone());
        let api = Arc::new(api);
        let map = Arc::new(Map {
            reader: Reader::new(api.clone()),
            writer: Arc::new(Writer::new(api.clone())),
            api,
            users: AtomicUsize::new(1),
        });
        maps.insert(identity, Arc::downgrade(&map));
        map
    }
}

impl Map {
    /// Counts one store less. `true`: it was the last, the map leaves its connection.
    pub fn leave(&self) -> bool {
        self.users.fetch_sub(1, Ordering::SeqCst) == 1
    }
}
