//! The proxy for tests in other languages: `mapstore-proxy KUBECONFIG`. One JSON line in, one out, the first one out
//! says where it is; it ends with its input.
//!
//! ```text
//! -> {"event":"ready","kubeconfig":"/tmp/…","url":"https://127.0.0.1:…"}
//! {"cmd":"rule","rule":{"method":"PATCH","path":"/m","nth":1,"delivery":"held","hearing":"close"}}
//! -> {"ok":true,"rule":0}
//! {"cmd":"wait_hit","rule":0}             until the rule was applied; -> {"ok":true}
//! {"cmd":"release","rule":0}              lets go of what it holds
//! {"cmd":"wait_delivered","rule":0}       -> {"ok":true,"status":200}: what the server answered
//! {"cmd":"clear_rules"}  {"cmd":"cut"}  {"cmd":"reset_counts"}
//! {"cmd":"counts"}                        -> {"ok":true,"counts":[{"method":"PATCH","path":"object","requests":1,…}]}
//! {"cmd":"log"}                           -> {"ok":true,"requests":[{"method":…,"path":…,"query":…,"body":…}]}
//! {"cmd":"kubeconfig","like":"/tmp/…"}    -> {"ok":true,"kubeconfig":"/tmp/…"}: another user's
//! ```
//!
//! A rule's fields are `Rule`'s: `method`, `path`, `query`, `query_without`, `nth`, `times`; `delivery`: `now`, `held`,
//! `{"held_ms":n}`, `never`; `hearing`: `answer`, `answer_held`, `{"answer_held_ms":n}`, `{"trickle_ms":n}`, `half`,
//! `close`, `{"instead":{"status":504,"headers":[["Retry-After","1"]],"body":"…","cut":false}}`.

use std::error::Error;
use std::io::{BufRead, Write};
use std::path::Path;

use mapstore_harness::proxy::{Proxy, Rule, RuleHandle};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(tag = "cmd", rename_all = "snake_case", deny_unknown_fields)]
enum Command {
    Rule { rule: Rule },
    WaitHit { rule: usize },
    Release { rule: usize },
    WaitDelivered { rule: usize },
    ClearRules,
    Cut,
    Counts,
    ResetCounts,
    Log,
    Kubeconfig { like: String },
}

fn main() -> Result<(), Box<dyn Error>> {
    let kubeconfig = std::env::args_os().nth(1).ok_or("usage: mapstore-proxy KUBECONFIG")?;
    let proxy = Proxy::before(Path::new(&kubeconfig))?;
    say(&json!({"event": "ready", "kubeconfig": proxy.kubeconfig(), "url": proxy.url()}))?;
    let mut rules = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let answer = serde_json::from_str(&line?)
            .map_err(Into::into)
            .and_then(|command| run(&proxy, &mut rules, command))
            .unwrap_or_else(|error| json!({"ok": false, "error": error.to_string()}));
        say(&answer)?;
    }
    Ok(())
}

fn say(answer: &Value) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{answer}")?;
    out.flush()
}

fn run(proxy: &Proxy, rules: &mut Vec<RuleHandle>, command: Command) -> Result<Value, Box<dyn Error>> {
    let numbered = |rule: usize| rules.get(rule).ok_or_else(|| format!("there is no rule {rule}"));
    match command {
        Command::Rule { rule } => {
            rules.push(proxy.rule(rule));
            return Ok(json!({"ok": true, "rule": rules.len() - 1}));
        }
        Command::WaitHit { rule } => numbered(rule)?.wait_hit()?,
        Command::Release { rule } => numbered(rule)?.release(),
        Command::WaitDelivered { rule } => {
            return Ok(json!({"ok": true, "status": numbered(rule)?.wait_delivered()?}));
        }
        Command::ClearRules => proxy.clear_rules(),
        Command::Cut => proxy.cut(),
        Command::Counts => return Ok(json!({"ok": true, "counts": counts(proxy)})),
        Command::ResetCounts => proxy.reset_counts(),
        Command::Log => return Ok(json!({"ok": true, "requests": proxy.take_log()})),
        Command::Kubeconfig { like } => {
            return Ok(json!({"ok": true, "kubeconfig": proxy.kubeconfig_like(Path::new(&like))?}));
        }
    }
    Ok(json!({"ok": true}))
}

fn counts(proxy: &Proxy) -> Value {
    let counts = proxy.counts();
    let rows = counts.0.iter().map(|((method, path), count)| {
        let mut row = json!(count);
        row["method"] = json!(method);
        row["path"] = json!(path);
        row
    });
    rows.collect()
}
