//! The ground truth: every version that the map has had, whole, from etcd's own history.
//!
//! LIST by name at an exact revision is a read of etcd at that revision (KEP-2340's `resourceVersionMatch=Exact`),
//! and tells at which revision the map was changed last; the version before that is read at one revision less. So
//! none can be missed, whatever happened to API server and watches meanwhile. Where the map is missing, the revisions
//! are read one by one.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mapstore_harness::{Client, Media};
use serde::Serialize;
use serde_json::Value as Json;

use super::MARKER;
use crate::traffic::Map;

/// The map from one revision on.
#[derive(Clone, Debug, Serialize)]
pub struct Version {
    pub revision: u64,
    pub exists: bool,
    pub uid: String,
    /// Of the annotations of mapstore, and of foreign writers.
    pub stamp: String,
    pub marker: String,
    /// Values are bytes, one a character; long ones by their beginning and length.
    pub state: BTreeMap<String, String>,
}

pub struct Truth;

/// Where etcd is now.
pub fn current_revision(client: &Client, map: &Map) -> Result<u64, String> {
    let list = list(client, map, "")?;
    number(&list["metadata"]["resourceVersion"])
}

impl Truth {
    /// All versions from the one at revision `first` to now, oldest first.
    pub fn read(client: &Client, map: &Map, first: u64) -> Result<Vec<Version>, String> {
        let mut at = current_revision(client, map)?;
        let mut versions: Vec<Version> = Vec::new();
        loop {
            let list = list(client, map, &format!("&resourceVersion={at}&resourceVersionMatch=Exact"))?;
            let version = match list["items"].as_array().and_then(|items| items.first()) {
                Some(object) => present(object)?,
                None => absent(at),
            };
            match versions.last_mut() {
                // Missing before too: since earlier.
                Some(last) if !last.exists && !version.exists => last.revision = version.revision,
                _ => versions.push(version.clone()),
            }
            if version.revision <= first {
                versions.reverse();
                return Ok(versions);
            }
            at = version.revision - 1;
        }
    }
}

fn list(client: &Client, map: &Map, query: &str) -> Result<Json, String> {
    let query = format!("fieldSelector=metadata.name%3D{}{query}", map.name);
    let doing = format!("LIST {query}");
    client
        .request("GET", &map.collection(), &query, Media::Json, &Json::Null)
        .and_then(|reply| reply.success(&doing))
        .map_err(|error| error.to_string())
}

fn absent(revision: u64) -> Version {
    Version {
        revision,
        exists: false,
        uid: String::new(),
        stamp: String::new(),
        marker: String::new(),
        state: BTreeMap::new(),
    }
}

fn present(object: &Json) -> Result<Version, String> {
    let meta = &object["metadata"];
    let annotation = |name: &str| meta["annotations"][name].as_str().unwrap_or_default().to_owned();
    let mut state = BTreeMap::new();
    for (key, value) in object["data"].as_object().into_iter().flatten() {
        state.insert(key.clone(), told(value.as_str().unwrap_or_default().as_bytes()));
    }
    for (key, value) in object["binaryData"].as_object().into_iter().flatten() {
        let bytes = STANDARD.decode(value.as_str().unwrap_or_default()).map_err(|e| format!("{key}: {e}"))?;
        state.insert(key.clone(), told(&bytes));
    }
    Ok(Version {
        revision: number(&meta["resourceVersion"])?,
        exists: true,
        uid: meta["uid"].as_str().unwrap_or_default().to_owned(),
        stamp: annotation("mapstore/last-write"),
        marker: annotation(MARKER),
        state,
    })
}

fn number(revision: &Json) -> Result<u64, String> {
    let text = revision.as_str().unwrap_or_default();
    text.parse().map_err(|_| format!("{revision} is no revision"))
}

/// As the clients tell values.
fn told(bytes: &[u8]) -> String {
    const SHOWN: usize = 64;
    let text: String = bytes.iter().take(SHOWN).map(|&byte| byte as char).collect();
    if bytes.len() > SHOWN { format!("{text}~{}", bytes.len()) } else { text }
}
