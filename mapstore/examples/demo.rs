//! Half of `make demo`: reads what the other half, mapstore-ffi/examples/demo.c,
//! wrote into a ConfigMap, and changes it.
//!
//! ```console
//! demo KUBECONFIG NAMESPACE NAME       NAMESPACE "" is the kubeconfig's
//! ```

use std::process::ExitCode;

use mapstore::{Options, Result, Revision, Store, Value, Written};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kubeconfig, namespace, name] = arguments.as_slice() else {
        eprintln!("usage: demo KUBECONFIG NAMESPACE NAME");
        return ExitCode::from(2);
    };
    match open(kubeconfig, namespace, name).and_then(|store| demo(&store)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("[rust] {} ({}): {error}", error.kind().name(), error.code());
            ExitCode::FAILURE
        }
    }
}

fn open(kubeconfig: &str, namespace: &str, name: &str) -> Result<Store> {
    let options = Options::new(name).kubeconfig(kubeconfig);
    let options = if namespace.is_empty() { options } else { options.namespace(namespace) };
    options.open()
}

fn demo(store: &Store) -> Result<()> {
    println!("[rust] opened configmap {}/{}", store.namespace(), store.name());
    let before = store.snapshot()?;
    println!("[rust] a snapshot has {} keys at {}", before.len(), at(before.revision()));
    for (key, value) in before.iter() {
        println!("[rust]   {key} = {}", shown(value));
    }

    report("set colour = green", store.set("colour", "green")?);
    report("deleted retries", store.delete("retries")?);
    report("deleted retries once more", store.delete("retries")?);
    match store.get("retries")? {
        Some(value) => println!("[rust] somebody wrote retries again: {}", shown(&value)),
        None => println!("[rust] got retries: there is none"),
    }
    println!(
        "[rust] the snapshot still says retries = {}",
        shown(&before.get("retries").cloned().unwrap_or_default())
    );

    match store.set("no/such/key", "x") {
        Ok(_) => println!("[rust] a key with a slash was stored, which should not be"),
        Err(error) => println!("[rust] refused, {} ({}): {error}", error.kind().name(), error.code()),
    }
    let usage = store.usage()?;
    println!(
        "[rust] {} keys, {} of {} bytes of values used",
        usage.keys, usage.value_bytes, usage.value_limit
    );
    store.close()
}

fn report(what: &str, written: Written) {
    let nothing = if written.changed { "" } else { ": nothing was written" };
    println!("[rust] {what}{nothing} ({})", at(written.revision.as_ref()));
}

fn at(revision: Option<&Revision>) -> String {
    revision.map_or("no configmap".into(), |revision| format!("revision {revision}"))
}

fn shown(value: &Value) -> String {
    match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("{} bytes that are no text", value.len()),
    }
}
