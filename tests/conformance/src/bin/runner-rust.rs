//! The Rust runner: the line protocol over the crate `mapstore`. A pure adapter: no defaults, no checks, no retries.

use std::collections::HashMap;
use std::io::{BufRead, BufWriter, Write};
use std::time::Duration;

use mapstore::{Batch, Cache, Call, CancelToken, Error, Options, Store, Written};
use mapstore_conformance::wire::Line;

/// What a request leads to, other than `ok`.
enum Refusal {
    /// The library's error.
    Error(Error),
    /// A line that this runner doesn't understand.
    Bad(String),
}

type Answer = Result<Line, Refusal>;

#[derive(Default)]
struct Runner {
    stores: HashMap<u64, Store>,
    tokens: HashMap<u64, CancelToken>,
    batch: Batch,
}

fn main() -> std::io::Result<()> {
    let mut runner = Runner::default();
    let mut out = BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line == "quit" {
            break;
        }
        let answer = Line::parse(&line).map_err(Refusal::Bad).and_then(|request| runner.answer(&request));
        let text = match answer {
            Ok(ok) => ok.encode(),
            Err(Refusal::Error(error)) => refused(&error).encode(),
            Err(Refusal::Bad(reason)) => format!("bad {}", reason.replace('\n', " ")),
        };
        writeln!(out, "{text}")?;
        out.flush()?;
    }
    Ok(())
}

impl Runner {
    fn answer(&mut self, request: &Line) -> Answer {
        let ok = Line::new("ok");
        match request.verb.as_str() {
            "open" => {
                let store = self.options(request)?.open_with(&self.call_of_open(request)?)?;
                self.stores.insert(number(request, "store")?, store);
                Ok(ok)
            }
            "verify_connection" => {
                self.options(request)?.verify_connection(&self.call_of_open(request)?)?;
                Ok(ok)
            }
            "cancel_new" => {
                self.tokens.insert(number(request, "token")?, CancelToken::new());
                Ok(ok)
            }
            "cancel" => {
                self.token(request, "token")?.cancel();
                Ok(ok)
            }
            "batch" => self.add(request).map(|()| ok),
            "free" => match self.stores.remove(&number(request, "store")?) {
                Some(_) => Ok(ok),
                None => Err(bad("no such store")),
            },
            _ => self.answer_by_store(request),
        }
    }

    fn answer_by_store(&self, request: &Line) -> Answer {
        let ok = Line::new("ok");
        let store = self.store(request)?;
        match request.verb.as_str() {
            "get" => Ok(match store.get(&text(request, "key")?)? {
                Some(value) => ok.with("value", value),
                None => ok.with("absent", "1"),
            }),
            "contains" => Ok(ok.with("present", flag(store.contains(&text(request, "key")?)?))),
            "set" => Ok(written(&store.set(&text(request, "key")?, bytes(request, "value")?)?)),
            "force_set" => Ok(written(&store.force_set(&text(request, "key")?, bytes(request, "value")?)?)),
            "delete" => Ok(written(&store.delete(&text(request, "key")?)?)),
            "truncate" => Ok(written(&store.truncate()?)),
            "apply" => Ok(written(&store.apply(&self.batch)?)),
            "compare_and_set" => {
                let (expected, value) = (request.bytes("expected"), request.bytes("value"));
                let key = text(request, "key")?;
                Ok(written(&store.compare_and_set(&key, expected.as_deref(), value.as_deref())?))
            }
            "update" => {
                let more = request.bytes("append");
                let change =
                    |old: Option<&[u8]>| more.as_ref().map(|more| [old.unwrap_or_default(), more].concat());
                Ok(written(&store.update(&text(request, "key")?, change)?))
            }
            "keys" => Ok(ok.with_list("keys", store.keys()?)),
            "len" => Ok(ok.with("len", store.len()?.to_string())),
            "snapshot" => snapshot(&store),
            "usage" => usage(&store),
            "refresh" => Ok(store.refresh().map(|()| ok)?),
            "close" => Ok(store.close().map(|()| ok)?),
            verb => Err(bad(&format!("unknown verb {verb}"))),
        }
    }

    /// One more operation of the batch that the next `apply` applies.
    fn add(&mut self, request: &Line) -> Result<(), Refusal> {
        let key = || text(request, "key");
        let value = || bytes(request, "value");
        let batch = &mut self.batch;
        match text(request, "op")?.as_str() {
            "new" => {
                *batch = Batch::new();
                batch
            }
            "set" => batch.set(&key()?, value()?)?,
            "force_set" => batch.force_set(&key()?, value()?)?,
            "delete" => batch.delete(&key()?)?,
            "truncate" => batch.truncate()?,
            "if_absent" => batch.if_absent(&key()?)?,
            "if_present" => batch.if_present(&key()?)?,
            "if_equals" => batch.if_equals(&key()?, value()?)?,
            "if_revision" => batch.if_revision(text(request, "revision")?)?,
            op => return Err(bad(&format!("unknown op {op}"))),
        };
        Ok(())
    }

    fn options(&self, request: &Line) -> Result<Options, Refusal> {
        let mut options = Options::new(text(request, "name")?);
        if let Some(namespace) = optional_text(request, "namespace")? {
            options = options.namespace(namespace);
        }
        if let Some(path) = optional_text(request, "kubeconfig")? {
            options = options.kubeconfig(path);
        }
        if let Some(context) = optional_text(request, "context")? {
            options = options.context(context);
        }
        if let Some(timeout) = timeout(request)? {
            options = options.timeout(timeout);
        }
        options = match optional_text(request, "cache")?.as_deref() {
            None => options,
            Some("none") => options.cache(Cache::None),
            Some("exclusive") => options.cache(Cache::Exclusive),
            Some(other) => return Err(bad(&format!("unknown cache {other}"))),
        };
        for name in ["text_values", "binary_only", "strict_lookup"] {
            let Some(given) = optional_text(request, name)? else { continue };
            options = match name {
                "text_values" => options.text_values(given == "1"),
                "binary_only" => options.binary_only(given == "1"),
                _ => options.strict_lookup(given == "1"),
            };
        }
        Ok(options)
    }

    /// Opening takes its deadline from the options.
    fn call_of_open(&self, request: &Line) -> Result<Call, Refusal> {
        Ok(match request.has("cancel") {
            true => Call::new().cancel(self.token(request, "cancel")?),
            false => Call::new(),
        })
    }

    fn store(&self, request: &Line) -> Result<Store, Refusal> {
        let store = self.stores.get(&number(request, "store")?).ok_or_else(|| bad("no such store"))?;
        let timeout = timeout(request)?;
        if timeout.is_none() && !request.has("cancel") {
            return Ok(store.clone());
        }
        let mut call = self.call_of_open(request)?;
        if let Some(timeout) = timeout {
            call = call.timeout(timeout);
        }
        Ok(store.with(&call))
    }

    fn token(&self, request: &Line, field: &str) -> Result<&CancelToken, Refusal> {
        self.tokens.get(&number(request, field)?).ok_or_else(|| bad("no such token"))
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Error(error)
    }
}

fn snapshot(store: &Store) -> Answer {
    let snapshot = store.snapshot()?;
    let revision = snapshot.revision().map(|revision| revision.as_str()).unwrap_or_default();
    Ok(Line::new("ok")
        .with("revision", revision)
        .with("len", snapshot.len().to_string())
        .with_pairs("entries", snapshot.iter()))
}

fn usage(store: &Store) -> Answer {
    let usage = store.usage()?;
    Ok(Line::new("ok")
        .with("keys", usage.keys.to_string())
        .with("key_bytes", usage.key_bytes.to_string())
        .with("value_bytes", usage.value_bytes.to_string())
        .with("value_limit", usage.value_limit.to_string())
        .with("object_bytes", usage.object_bytes.to_string())
        .with("object_limit", usage.object_limit.to_string()))
}

fn written(written: &Written) -> Line {
    let revision = written.revision.as_ref().map(|revision| revision.as_str()).unwrap_or_default();
    Line::new("ok").with("changed", flag(written.changed)).with("revision", revision)
}

fn refused(error: &Error) -> Line {
    let (used, limit) = match error.used_and_limit() {
        Some((used, limit)) => (used.unwrap_or(0), limit),
        None => (0, 0),
    };
    Line::new("err")
        .with("code", error.code().to_string())
        .with("name", error.kind().name())
        .with("status", error.http_status().unwrap_or(0).to_string())
        .with("retryable", flag(error.is_retryable()))
        .with("used", used.to_string())
        .with("limit", limit.to_string())
        .with("subject", error.subject())
        .with("message", error.to_string())
}

/// A negative time can't be said in Rust; zero is the nearest, and refused as well.
fn timeout(request: &Line) -> Result<Option<Duration>, Refusal> {
    if !request.has("timeout_ms") {
        return Ok(None);
    }
    let ms: i64 = number(request, "timeout_ms")?;
    Ok(Some(Duration::from_millis(u64::try_from(ms).unwrap_or(0))))
}

fn text(request: &Line, field: &str) -> Result<String, Refusal> {
    optional_text(request, field)?.ok_or_else(|| bad(&format!("no {field}")))
}

fn optional_text(request: &Line, field: &str) -> Result<Option<String>, Refusal> {
    match request.has(field) {
        true => request.text(field).map(Some).ok_or_else(|| bad(&format!("{field} is not text"))),
        false => Ok(None),
    }
}

fn bytes(request: &Line, field: &str) -> Result<Vec<u8>, Refusal> {
    request.bytes(field).ok_or_else(|| bad(&format!("no {field}")))
}

fn number<N: std::str::FromStr>(request: &Line, field: &str) -> Result<N, Refusal> {
    request.number(field).ok_or_else(|| bad(&format!("{field} is not a number")))
}

fn flag(flag: bool) -> &'static str {
    if flag { "1" } else { "0" }
}

fn bad(reason: &str) -> Refusal {
    Refusal::Bad(reason.to_owned())
}
