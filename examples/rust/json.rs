//! JSON objects in a store: one key each, changed by read-modify-write.

use mapstore::{Error, Options};
use serde_json::{Value, json};

fn visit(old: Option<&[u8]>) -> Result<Option<String>, Failed> {
    let mut user: Value = old.map_or(Ok(json!({"visits": 0})), serde_json::from_slice)?;
    user["visits"] = json!(user["visits"].as_u64().unwrap_or(0) + 1);
    Ok(Some(user.to_string()))
}

fn main() -> Result<(), Failed> {
    // Text values: `kubectl get configmap users -o yaml` shows them as they are.
    let store = Options::new("users").text_values(true).open()?;
    for _ in 0..2 {
        store.try_update("carla", visit)?;
    }
    println!("carla: {}", String::from_utf8_lossy(&store.get("carla")?.unwrap_or_default()));
    Ok(())
}

/// The store's error, or a value that is no JSON: nothing is written then.
#[derive(Debug)]
#[allow(dead_code, reason = "main prints it")]
enum Failed {
    Store(Error),
    Json(serde_json::Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed::Store(error)
    }
}

impl From<serde_json::Error> for Failed {
    fn from(error: serde_json::Error) -> Self {
        Failed::Json(error)
    }
}
