//! What the tests of faults share: a cluster with ways to it that can be disturbed, a clock that knows how late
//! this machine is, and a process of its own for a test that looks at threads, signals or the environment.

// Each test file uses another part of it.
#![allow(dead_code)]

pub mod front;
pub mod gate;
pub mod kubectl;
pub mod speaker;
pub mod writes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mapstore::{Cache, Call, Error, ErrorKind, Options, Store};
#[allow(unused_imports)]
pub use mapstore_harness::Lateness;
use mapstore_harness::proxy::Proxy;
use mapstore_harness::{Client, Cluster, Kind, Scratch, Sections, clean_command};
use serde_json::{Value as Json, json};

/// How late a call may be: T1 of the contract.
pub const LATE: Duration = Duration::from_millis(100);

pub const MODES: [Cache; 2] = [Cache::None, Cache::Exclusive];

/// A cluster, a namespace in it, and files about it.
pub struct Site {
    pub cluster: Arc<Cluster>,
    pub namespace: String,
    pub scratch: Scratch,
}

/// A site and a proxy before it.
pub struct Scene {
    pub site: Site,
    pub proxy: Proxy,
}

impl Scene {
    pub fn start(kind: Kind) -> Scene {
        Scene::of(Site::start(kind))
    }

    /// On a cluster that may be killed.
    pub fn own(kind: Kind) -> Scene {
        Scene::of(Site::own(kind))
    }

    fn of(site: Site) -> Scene {
        let proxy = Proxy::start(&site.cluster).unwrap();
        Scene { site, proxy }
    }

    pub fn options(&self, cache: Cache) -> Options {
        self.site.through(&self.proxy).cache(cache)
    }
}

/// The real server of the tests that only use it; it stops with the last of them.
static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());

impl Site {
    pub fn dev() -> Site {
        Site::start(Kind::Dev)
    }

    /// On a cluster that others may use too.
    pub fn start(kind: Kind) -> Site {
        if kind == Kind::Dev {
            return Site::own(kind);
        }
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let cluster = shared.upgrade().unwrap_or_else(|| start(kind));
        *shared = Arc::downgrade(&cluster);
        Site::on(cluster)
    }

    /// On a cluster that may be killed.
    pub fn own(kind: Kind) -> Site {
        Site::on(start(kind))
    }

    fn on(cluster: Arc<Cluster>) -> Site {
        let namespace = cluster.fresh_namespace().unwrap();
        Site { cluster, namespace, scratch: Scratch::new("faults").unwrap() }
    }

    pub fn client(&self) -> &Client {
        self.cluster.client()
    }

    pub fn sections(&self) -> Sections {
        Sections::read(self.cluster.kubeconfig()).unwrap()
    }

    pub fn address(&self) -> std::net::SocketAddr {
        let server = self.sections().cluster["server"].as_str().unwrap().to_owned();
        server.trim_start_matches("https://").trim_end_matches('/').parse().unwrap()
    }

    /// The administrator's kubeconfig with another address, and more said about the user.
    pub fn kubeconfig(&self, name: &str, server: Option<&str>, user: Option<Json>) -> PathBuf {
        let mut sections = self.sections();
        sections.context = json!({"namespace": self.namespace});
        if let Some(server) = server {
            sections.cluster["server"] = json!(server);
        }
        if let Some(user) = user {
            sections.user = user;
        }
        self.scratch.write(name, sections.to_kubeconfig().to_string()).unwrap()
    }

    pub fn via(&self, server: &str) -> Options {
        let name: String = server.chars().filter(char::is_ascii_alphanumeric).collect();
        Options::new("m").kubeconfig(self.kubeconfig(&name, Some(server), None))
    }

    pub fn options(&self) -> Options {
        Options::new("m").kubeconfig(self.kubeconfig("direct", None, None))
    }

    /// By way of a proxy before its cluster.
    pub fn through(&self, proxy: &Proxy) -> Options {
        Options::new("m").kubeconfig(proxy.kubeconfig()).namespace(&self.namespace)
    }

    pub fn path(&self) -> String {
        format!("/api/v1/namespaces/{}/configmaps/m", self.namespace)
    }

    pub fn object(&self) -> Json {
        self.client().get(&self.path()).unwrap().body
    }

    pub fn revision(&self) -> String {
        self.object()["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned()
    }

    /// The map as the server has it.
    pub fn values(&self) -> BTreeMap<String, Vec<u8>> {
        let object = self.object();
        let each = |field: &str| object[field].as_object().cloned().unwrap_or_default();
        let text = each("data").into_iter().map(|(key, value)| (key, value.as_str().unwrap().into()));
        let binary = each("binaryData")
            .into_iter()
            .map(|(key, value)| (key, STANDARD.decode(value.as_str().unwrap()).unwrap()));
        text.chain(binary).collect()
    }

    pub fn value(&self, key: &str) -> Option<String> {
        self.values().get(key).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    pub fn delete_map(&self) {
        self.client().delete(&self.path()).unwrap().success("delete").unwrap();
    }
}

/// Fails with what is missing if the real server isn't built.
fn start(kind: Kind) -> Arc<Cluster> {
    Arc::new(Cluster::start(kind).unwrap_or_else(|error| panic!("{error}")))
}

/// A user section of a kubeconfig with a credential plugin that is this shell script.
pub fn plugin(script: &str) -> Json {
    json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
        "command": "/bin/sh", "args": ["-c", script],
    }})
}

pub fn within(timeout: Duration) -> Call {
    Call::new().timeout(timeout)
}

pub fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Every operation that may send something.
pub const READS: [(&str, Operation); 4] = [
    ("get", |store| store.get("k").map(drop)),
    ("keys", |store| store.keys().map(drop)),
    ("snapshot", |store| store.snapshot().map(drop)),
    ("usage", |store| store.usage().map(drop)),
];
pub const ALWAYS_ASKS: [(&str, Operation); 2] =
    [("refresh", Store::refresh), ("verify_connection", Store::verify_connection)];
pub const WRITES: [(&str, Operation); 4] = [
    ("set", |store| store.set("k", "new").map(drop)),
    ("force_set", |store| store.force_set("k", "new").map(drop)),
    ("delete", |store| store.delete("k").map(drop)),
    ("truncate", |store| store.truncate().map(drop)),
];

pub type Operation = fn(&Store) -> mapstore::Result<()>;

pub fn all_operations() -> impl Iterator<Item = (&'static str, Operation)> {
    READS.into_iter().chain(ALWAYS_ASKS).chain(WRITES)
}

/// Runs a call and checks that it is back by its deadline, plus 100 ms and the lateness of this machine.
pub fn on_time<T>(what: &str, deadline: Duration, call: impl FnOnce() -> T) -> T {
    let lateness = Lateness::watch();
    let started = Instant::now();
    let answer = call();
    let took = started.elapsed();
    let allowed = deadline + LATE + lateness.of_a_call();
    assert!(took <= allowed, "{what} took {took:?}; {allowed:?} are allowed");
    answer
}

#[track_caller]
pub fn refused<T>(what: &str, answer: mapstore::Result<T>, kind: ErrorKind) -> Error {
    match answer {
        Ok(_) => panic!("{what} succeeded, expected {kind:?}"),
        Err(error) => {
            assert_eq!(error.kind(), kind, "{what}: {error}");
            error
        }
    }
}

/// Runs every operation at once on one store, each with this deadline; answers with what each said.
pub fn run_all(store: &Store, deadline: Duration) -> BTreeMap<&'static str, mapstore::Result<()>> {
    let store = store.with(&within(deadline));
    let store = &store;
    thread::scope(|scope| {
        let calls: Vec<_> = all_operations()
            .map(|(name, call)| (name, scope.spawn(move || on_time(name, deadline, || call(store)))))
            .collect();
        calls.into_iter().map(|(name, call)| (name, call.join().expect(name))).collect()
    })
}

/// A `mkfifo` that nobody writes to.
pub fn fifo(path: &Path) {
    let path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: the path is NUL-terminated.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
}

pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        thread::sleep(ms(10));
    }
}

const INSIDE: &str = "MAPSTORE_TEST_INSIDE";

/// The kubeconfig for the process of its own that [`alone`] started; `None` elsewhere.
pub fn inside() -> Option<PathBuf> {
    std::env::var_os(INSIDE).map(PathBuf::from)
}

/// Runs the test `name` of this file again, in a process of its own with a clean environment, where [`inside`] gives
/// `kubeconfig`. Fails if that doesn't succeed within a minute.
pub fn alone(name: &str, kubeconfig: &Path, prepare: impl FnOnce(&mut Command)) {
    let home = Scratch::new("home").unwrap();
    let mut command = clean_command(std::env::current_exe().unwrap(), home.path());
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]).env(INSIDE, kubeconfig);
    let log = home.path().join("log");
    let file = std::fs::File::create(&log).unwrap();
    command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
    prepare(&mut command);
    let mut child = command.spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if Instant::now() > deadline => {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            None => thread::sleep(ms(5)),
        }
    };
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    let passed = status.is_some_and(|status| status.success()) && said.contains("1 passed");
    assert!(passed, "{name} in a process of its own: {status:?}\n{said}");
}
