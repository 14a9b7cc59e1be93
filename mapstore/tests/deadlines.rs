//! T1: every call is back at most 100 ms after its deadline, its cancel token or `close`, whatever the network, a
//! name look-up, a credential plugin or a file does; with the right kind, and the store works again afterwards.

mod support;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use mapstore::{Cache, Call, CancelToken, ErrorKind, Options, Store};
use mapstore_harness::{BlackHole, Scratch, TricklePort};
use serde_json::json;
use socket2::{Domain, Socket, Type};
use support::gate::Gate;
use support::*;

const DEADLINE: Duration = Duration::from_millis(400);

type Answers = BTreeMap<&'static str, mapstore::Result<()>>;

/// Nothing was sent, so every call says `Deadline`, but for reads from memory.
#[track_caller]
fn nothing_was_sent(answers: &Answers, cache: Cache) {
    for (name, answer) in answers {
        let from_memory = cache == Cache::Exclusive && READS.iter().any(|(read, _)| read == name);
        match answer {
            Ok(()) => assert!(from_memory, "{name} succeeded"),
            Err(error) => {
                assert!(!from_memory, "{name}: {error}");
                assert_eq!(error.kind(), ErrorKind::Deadline, "{name}: {error}");
                let writes = WRITES.iter().any(|(write, _)| write == name);
                let says_so = error.to_string().contains("nothing was written");
                assert_eq!(says_so, writes, "{name}: {error}");
            }
        }
    }
}

/// One store per cache mode. A cached one reads at `open`, which is the call that is late.
fn never_answers(what: &str, options: &Options) {
    let store = options.clone().open().unwrap();
    nothing_was_sent(&run_all(&store, DEADLINE), Cache::None);
    let cached = options.clone().cache(Cache::Exclusive).timeout(DEADLINE);
    let opened = on_time(what, DEADLINE, || cached.open());
    refused(what, opened, ErrorKind::Deadline);
}

fn options_for(scratch: &Scratch, server: &str) -> Options {
    let sections = mapstore_harness::Sections {
        cluster: json!({"server": server, "insecure-skip-tls-verify": true}),
        user: json!({"token": "t0psecret"}),
        context: json!({"namespace": "ns"}),
    };
    let file = scratch.write("kubeconfig", sections.to_kubeconfig().to_string()).unwrap();
    Options::new("m").kubeconfig(file)
}

#[test]
fn a_server_that_accepts_and_says_nothing() {
    let scratch = Scratch::new("hole").unwrap();
    let hole = BlackHole::start().unwrap();
    never_answers("black hole, TLS", &options_for(&scratch, &hole.https_url()));
    never_answers("black hole", &options_for(&scratch, &hole.http_url()));
    assert!(hole.accepted() > 0);
}

#[test]
fn a_proxy_that_accepts_and_says_nothing() {
    let site = Site::dev();
    let hole = BlackHole::start().unwrap();
    let mut sections = site.sections();
    sections.context = json!({"namespace": site.namespace});
    sections.cluster["proxy-url"] = json!(hole.http_url());
    let kubeconfig = site.scratch.write("proxied", sections.to_kubeconfig().to_string()).unwrap();
    never_answers("proxy", &Options::new("m").kubeconfig(kubeconfig));
}

#[test]
fn a_server_whose_backlog_is_full() {
    let scratch = Scratch::new("backlog").unwrap();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    // The kernel drops further SYNs as long as these are not accepted.
    let waiting: Vec<_> = (0..4).map_while(|_| TcpStream::connect_timeout(&address, ms(200)).ok()).collect();
    assert!(waiting.len() < 4, "the backlog takes everything");
    never_answers("full backlog", &options_for(&scratch, &format!("https://{address}")));
}

#[test]
fn a_server_that_answers_one_byte_at_a_time() {
    let scratch = Scratch::new("trickle").unwrap();
    for interval in [ms(50), ms(2)] {
        // 50 ms a byte: the head isn't complete in time; 2 ms: the body begins and doesn't end.
        let port = TricklePort::start(interval).unwrap();
        let store = options_for(&scratch, &port.http_url()).open().unwrap();
        for (name, answer) in run_all(&store, DEADLINE) {
            // The first request of every call is a read.
            refused(name, answer, ErrorKind::Deadline);
        }
    }
}

#[test]
fn a_tls_server_that_answers_one_byte_at_a_time() {
    let site = Site::dev();
    for free in [0, 300] {
        let port = TricklePort::before(site.address(), free, ms(20)).unwrap();
        never_answers("trickle", &site.via(&port.https_url()));
    }
}

/// The network stops under a store with an open connection, comes back, and the store goes on.
#[test]
fn a_network_that_stops_and_comes_back() {
    let site = Site::dev();
    let gate = Gate::before(site.address());
    for cache in [Cache::None, Cache::Exclusive] {
        let store = site.via(&gate.url()).cache(cache).open().unwrap();
        store.set("k", "old").unwrap();
        gate.stall(true);
        let answers = run_all(&store, DEADLINE);
        gate.stall(false);
        for (name, answer) in answers {
            let Err(error) = answer else {
                assert_eq!(cache, Cache::Exclusive, "{name} succeeded without a network");
                continue;
            };
            match error.kind() {
                // Those that went together in the one request that was on its way; groups.rs looks at who did.
                ErrorKind::OutcomeUnknown if WRITES.iter().any(|(write, _)| *write == name) => {}
                kind => assert_eq!(kind, ErrorKind::Deadline, "{name}: {error}"),
            }
        }
        works_again(&store, &site);
        gate.stall(true);
        let answer = on_time("set", DEADLINE, || store.with(&within(DEADLINE)).set("k", "new"));
        refused("set", answer, ErrorKind::OutcomeUnknown);
        gate.stall(false);
        works_again(&store, &site);
    }
}

/// The connection is gone too, so nothing can have been sent.
#[test]
fn a_network_that_is_gone_when_a_connection_is_needed() {
    let site = Site::dev();
    let gate = Gate::before(site.address());
    for cache in [Cache::None, Cache::Exclusive] {
        let store = site.via(&gate.url()).cache(cache).open().unwrap();
        store.set("k", "old").unwrap();
        gate.stall(true);
        gate.cut_existing();
        thread::sleep(ms(50));
        nothing_was_sent(&run_all(&store, DEADLINE), cache);
        gate.stall(false);
        works_again(&store, &site);
        assert_eq!(site.value("k").as_deref(), Some("again"));
    }
}

fn works_again(store: &Store, site: &Site) {
    store.set("k", "again").unwrap();
    assert_eq!(site.value("k").as_deref(), Some("again"));
    assert_eq!(store.get("k").unwrap().as_deref(), Some(&b"again"[..]));
    for (name, operation) in ALWAYS_ASKS {
        operation(store).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    store.delete("k").unwrap();
    store.set("k", "again").unwrap();
}

/// The connection in the pool is dead and nobody was told: the call finds out in half of its time.
#[test]
fn a_dead_pooled_connection_costs_time_and_nothing_else() {
    let site = Site::dev();
    let gate = Gate::before(site.address());
    for cache in [Cache::None, Cache::Exclusive] {
        let store = site.via(&gate.url()).cache(cache).timeout(ms(1600)).open().unwrap();
        store.set("k", "old").unwrap();
        for (name, operation) in all_operations() {
            store.force_set("k", "old").unwrap();
            gate.freeze_existing();
            on_time(name, ms(1600), || operation(&store))
                .unwrap_or_else(|error| panic!("{name}, {cache:?}: {error}"));
        }
        assert!(site.values().is_empty(), "truncate was the last");
    }
}

/// The same with so little time that no pause between two tries would fit.
#[test]
fn a_dead_pooled_connection_under_a_short_deadline() {
    let site = Site::dev();
    let gate = Gate::before(site.address());
    let store = site.via(&gate.url()).open().unwrap();
    let succeeded = (0..10).filter(|_| {
        store.force_set("k", "v").unwrap();
        gate.freeze_existing();
        let answer = on_time("get", ms(60), || store.with(&within(ms(60))).get("k"));
        // On a busy machine 30 ms may not do for a new connection.
        answer.inspect_err(|error| assert_eq!(error.kind(), ErrorKind::Deadline, "{error}")).is_ok()
    });
    assert!(succeeded.count() > 0, "the second half of the time was never used");
}

#[test]
fn a_credential_plugin_that_hangs() {
    let site = Site::dev();
    let kubeconfig = site.kubeconfig("hangs", None, Some(plugin("sleep 60")));
    never_answers("plugin", &Options::new("m").kubeconfig(kubeconfig));
}

/// The plugin works once and hangs when the credential has to be renewed: the write is not sent.
#[test]
fn a_credential_plugin_that_hangs_later() {
    let site = Site::dev();
    let token = site.sections().user["token"].as_str().unwrap().to_owned();
    let marker = site.scratch.path().join("marker");
    let script = format!(
        "[ -e {0} ] && sleep 60; printf '%s' '{{\"status\":{{\"token\":\"{token}\",\
         \"expirationTimestamp\":\"2000-01-01T00:00:00Z\"}}}}'",
        marker.display()
    );
    let kubeconfig = site.kubeconfig("later", None, Some(plugin(&script)));
    for cache in [Cache::None, Cache::Exclusive] {
        let store = Options::new("m").kubeconfig(&kubeconfig).cache(cache).open().unwrap();
        store.set("k", "old").unwrap();
        std::fs::write(&marker, "").unwrap();
        nothing_was_sent(&run_all(&store, DEADLINE), cache);
        std::fs::remove_file(&marker).unwrap();
        works_again(&store, &site);
    }
}

#[test]
fn a_token_file_that_is_a_pipe_nobody_writes_to() {
    let site = Site::dev();
    let pipe = site.scratch.path().join("token");
    fifo(&pipe);
    let kubeconfig = site.kubeconfig("pipe", None, Some(json!({"tokenFile": pipe})));
    let options = Options::new("m").kubeconfig(kubeconfig);
    let store = options.clone().open().unwrap();
    for (name, answer) in run_all(&store, DEADLINE) {
        let error = answer.expect_err(name);
        assert!(matches!(error.kind(), ErrorKind::Deadline | ErrorKind::Config), "{name}: {error:?}");
    }
    // The threads that read files are few: other stores can still be opened, and this one works with a file.
    site.options().timeout(ms(2000)).open().unwrap().set("k", "v").unwrap();
    std::fs::remove_file(&pipe).unwrap();
    std::fs::write(&pipe, site.sections().user["token"].as_str().unwrap()).unwrap();
    works_again(&store, &site);
}

#[test]
fn a_kubeconfig_that_is_a_pipe_nobody_writes_to() {
    let site = Site::dev();
    let pipe = site.scratch.path().join("pipe");
    fifo(&pipe);
    for _ in 0..5 {
        let options = Options::new("m").kubeconfig(&pipe).timeout(DEADLINE);
        let opened = on_time("open", DEADLINE, || options.open());
        refused("open", opened, ErrorKind::Deadline);
    }
    // The threads that read files are few: other stores can still be opened.
    site.options().timeout(ms(2000)).open().unwrap().set("k", "v").unwrap();
    // As the shell's <(…) does it.
    let text = std::fs::read(site.kubeconfig("direct", None, None)).unwrap();
    let writer = thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::write(pipe, text).unwrap()
    });
    let store = Options::new("m").kubeconfig(&pipe).open().unwrap();
    writer.join().unwrap();
    assert_eq!(store.get("k").unwrap().as_deref(), Some(&b"v"[..]));
}

#[test]
fn a_name_look_up_that_hangs() {
    let Some(kubeconfig) = inside() else {
        let site = Site::dev();
        let server = format!("https://hangs.invalid:{}", site.address().port());
        let kubeconfig = site.kubeconfig("dns", Some(&server), None);
        let shim = compile_shim(site.scratch.path());
        return alone("a_name_look_up_that_hangs", &kubeconfig, |command| {
            command.env("LD_PRELOAD", &shim);
        });
    };
    never_answers("look-up", &Options::new("m").kubeconfig(&kubeconfig));
}

/// A name server that doesn't answer, as libc's resolver waits for it.
fn compile_shim(folder: &Path) -> std::path::PathBuf {
    let source = folder.join("shim.c");
    let shim = folder.join("shim.so");
    let text = "#include <netdb.h>\n#include <unistd.h>\n\
                int getaddrinfo(const char *n, const char *s, const struct addrinfo *h, struct addrinfo **r)\n\
                { (void)n; (void)s; (void)h; (void)r; sleep(30); return EAI_AGAIN; }\n";
    std::fs::write(&source, text).unwrap();
    let status = std::process::Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&shim, &source])
        .status()
        .expect("a C compiler, cc, is needed");
    assert!(status.success());
    shim
}

#[test]
fn a_cancelled_call_returns_at_once() {
    ends_at_once(ErrorKind::Cancelled, |_, token| token.cancel());
}

#[test]
fn a_closed_store_ends_the_calls_under_way() {
    ends_at_once(ErrorKind::Closed, |store, _| store.close().unwrap());
}

fn ends_at_once(kind: ErrorKind, end: impl Fn(&Store, &CancelToken) + Copy) {
    let site = Site::dev();
    let gate = Gate::before(site.address());
    for cache in [Cache::None, Cache::Exclusive] {
        let store = site.via(&gate.url()).cache(cache).open().unwrap();
        store.set("k", "old").unwrap();
        gate.stall(true);
        for (name, operation) in all_operations() {
            if cache == Cache::Exclusive && READS.iter().any(|(read, _)| *read == name) {
                continue;
            }
            let store = match kind {
                ErrorKind::Closed => {
                    gate.stall(false);
                    let own = site.via(&gate.url()).cache(cache).open().unwrap();
                    own.force_set("k", "old").unwrap();
                    gate.stall(true);
                    own
                }
                _ => store.clone(),
            };
            let token = CancelToken::new();
            let handle = store.with(&Call::new().cancel(&token).timeout(Duration::from_secs(60)));
            let lateness = Lateness::watch();
            let call = thread::spawn(move || (operation(&handle), Instant::now()));
            thread::sleep(ms(80));
            let ended = Instant::now();
            end(&store, &token);
            let (answer, returned) = call.join().unwrap();
            let error = refused(name, answer, kind);
            let took = returned.saturating_duration_since(ended);
            assert!(took <= LATE + lateness.of_a_call(), "{name} came back {took:?} later");
            if WRITES.iter().any(|(write, _)| *write == name) {
                assert!(error.to_string().contains("writ"), "{name} doesn't say what became of it: {error}");
            }
            let later = store.with(&Call::new().cancel(&token));
            refused("the next call", later.get("k"), kind);
        }
        gate.stall(false);
        if kind == ErrorKind::Cancelled {
            works_again(&store, &site);
        } else {
            store.close().unwrap();
            store.close().unwrap();
        }
    }
}

/// A token, cancelled from another thread, ends `open` too.
#[test]
fn opening_can_be_cancelled() {
    let scratch = Scratch::new("cancel").unwrap();
    let hole = BlackHole::start().unwrap();
    let options = options_for(&scratch, &hole.https_url()).cache(Cache::Exclusive);
    let token = CancelToken::new();
    let call = Call::new().cancel(&token);
    let opening = thread::spawn(move || (options.open_with(&call), Instant::now()));
    let lateness = Lateness::watch();
    thread::sleep(ms(100));
    let ended = Instant::now();
    token.cancel();
    let (answer, returned) = opening.join().unwrap();
    refused("open", answer, ErrorKind::Cancelled);
    assert!(returned.saturating_duration_since(ended) <= LATE + lateness.of_a_call());
}

#[test]
fn no_message_holds_a_token_or_a_value() {
    let scratch = Scratch::new("secrets").unwrap();
    let hole = BlackHole::start().unwrap();
    let store = options_for(&scratch, &hole.http_url()).timeout(ms(100)).open().unwrap();
    for answer in [store.set("k", "s3cret-value").map(drop), store.get("k").map(drop)] {
        let error = answer.unwrap_err();
        let said = format!("{error} {error:?} {:?}", std::error::Error::source(&error));
        assert!(!said.contains("t0psecret") && !said.contains("s3cret-value"), "{said}");
    }
}
