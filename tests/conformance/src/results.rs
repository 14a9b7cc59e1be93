//! What came out, as a file: for each server and runner, each variant's outcome.

use std::path::Path;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome", content = "why")]
pub enum Outcome {
    Passed,
    Failed(String),
    /// The cluster can't do it; possible on the user's cluster only.
    NotRunnable(String),
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Entry {
    pub id: String,
    #[serde(flatten)]
    pub outcome: Outcome,
    pub ms: u64,
}

/// One runner on one server.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Run {
    pub server: String,
    pub runner: String,
    pub entries: Vec<Entry>,
    /// What went wrong outside any case: a runner that quit badly.
    pub troubles: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Results {
    /// The table's fingerprint.
    pub table: String,
    pub runs: Vec<Run>,
}

impl Run {
    pub fn failures(&self) -> usize {
        let failed = |entry: &&Entry| matches!(entry.outcome, Outcome::Failed(_));
        self.entries.iter().filter(failed).count() + self.troubles.len()
    }

    pub fn passes(&self) -> usize {
        self.entries.iter().filter(|entry| entry.outcome == Outcome::Passed).count()
    }
}

impl Results {
    pub fn read(path: &Path) -> Result<Results, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
    }

    pub fn write(&self, path: &Path) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(|e| e.to_string())?;
        std::fs::write(path, text + "\n").map_err(|e| format!("{}: {e}", path.display()))
    }
}
