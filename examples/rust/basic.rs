//! The basics: a value, a counter that every replica increments, all of it at once.

use mapstore::{Batch, Result, Store};

fn main() -> Result<()> {
    let store = Store::open("my-settings")?;
    store.set("colour", "blue")?;
    store.update("visits", |old| {
        let visits: u64 = old.and_then(|old| std::str::from_utf8(old).ok()?.parse().ok()).unwrap_or(0);
        Some((visits + 1).to_string())
    })?;
    for (key, value) in store.snapshot()?.iter() {
        println!("{key} = {}", String::from_utf8_lossy(value));
    }
    let mut batch = Batch::new();
    batch.if_present("colour")?.delete("colour")?.set("previous", "blue")?;
    store.apply(&batch)?;
    Ok(())
}
