//! The lines in and out. Values are bytes, written as text in which each character stands for one byte.

use std::io::Write;

use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
pub struct Setup {
    pub kubeconfig: String,
    pub namespace: String,
    pub map: String,
    pub process: String,
    /// Cache modes, by client.
    pub modes: std::collections::BTreeMap<String, String>,
}

/// One call to make.
#[derive(Clone, Deserialize, Serialize)]
pub struct Call {
    pub client: String,
    pub id: String,
    pub verb: String,
    /// Of reads.
    #[serde(default)]
    pub key: String,
    /// `[op, key, value]`.
    #[serde(default)]
    pub ops: Vec<Vec<String>>,
    /// `[condition, key, value]`.
    #[serde(default)]
    pub conditions: Vec<Vec<String>>,
    pub timeout_ms: u64,
    #[serde(default)]
    pub cancel_ms: u64,
    #[serde(default)]
    pub pause_us: u64,
    /// Made after all faults are over.
    #[serde(default)]
    pub quiet: bool,
}

pub fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| byte as char).collect()
}

pub fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| c as u8).collect()
}

/// Long values are told by their beginning and their length.
pub fn told(bytes: &[u8]) -> String {
    const SHOWN: usize = 64;
    match bytes.len() {
        ..=SHOWN => text(bytes),
        length => format!("{}~{length}", text(&bytes[..SHOWN])),
    }
}

/// One line, whole, whoever else writes.
pub fn say(line: &serde_json::Value) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
