//! What a connection does: credential plugins and who shares their runs, files that are replaced, TLS, proxies, and
//! servers that shut down.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{fs, thread};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mapstore::{Error, ErrorKind, Options, Store};
use mapstore_harness::{Scratch, Sections};
use serde_json::{Value as Json, json};
use support::gate::Gate;
use support::speaker::{Asked, Pair, Speaker, answer, map_with, pair};
use support::*;

/// A user whose plugin notes each run and then does `script`, which may use `$TOKEN`.
fn counted(site: &Site, script: &str) -> (Json, PathBuf) {
    let token = site.sections().user["token"].as_str().unwrap().to_owned();
    let runs = site.scratch.path().join("runs");
    let script = format!("echo run >> {}; TOKEN={token}; {script}", runs.display());
    (plugin(&script), runs)
}

fn lines(file: &Path) -> usize {
    fs::read_to_string(file).unwrap_or_default().lines().count()
}

const GIVE: &str = "echo \"{\\\"status\\\":{\\\"token\\\":\\\"$TOKEN\\\"}}\"";

/// A kubeconfig for a server that isn't Kubernetes.
fn kubeconfig(scratch: &Scratch, name: &str, cluster: Json, user: Json) -> PathBuf {
    let sections = Sections { cluster, user, context: json!({"namespace": "ns"}) };
    scratch.write(name, sections.to_kubeconfig().to_string()).unwrap()
}

fn data(text: &str) -> Json {
    json!(STANDARD.encode(text))
}

fn open(kubeconfig: &Path) -> Store {
    Options::new("m").kubeconfig(kubeconfig).open().unwrap()
}

/// 50 maps of one kubeconfig were 50 runs, 50 connections and 17 s.
#[test]
fn fifty_maps_share_one_run_of_the_plugin_and_one_connection() {
    let site = Site::dev();
    let gate = Gate::before(site.address());
    let (user, runs) = counted(&site, &format!("sleep 0.2; {GIVE}"));
    let kubeconfig = site.kubeconfig("many", Some(&gate.url()), Some(user));
    let options = |n: usize| Options::new(format!("map-{n}")).kubeconfig(&kubeconfig);
    let stores: Vec<_> = (0..50).map(|n| options(n).open().unwrap()).collect();
    for store in &stores {
        store.set("k", store.name()).unwrap();
    }
    assert_eq!((lines(&runs), gate.accepted()), (1, 1));
    // At once: one run for those who wait for it.
    fs::remove_file(&runs).unwrap();
    drop(stores);
    let stores: Vec<_> = (0..50).map(|n| options(n).open().unwrap()).collect();
    thread::scope(|scope| {
        stores.iter().for_each(|store| drop(scope.spawn(|| store.get("k").unwrap().unwrap())));
    });
    assert_eq!(lines(&runs), 1);
    // Who closes leaves the connection to the others.
    stores[1..].iter().for_each(|store| store.close().unwrap());
    let before = gate.accepted();
    stores[0].get("k").unwrap();
    assert_eq!(gate.accepted(), before);
}

/// Three plugins that slept kept an unrelated cluster's open and calls waiting for 10 s.
#[test]
fn plugins_that_sleep_hold_nobody_else() {
    let site = Site::dev();
    let token = &site.sections().user["token"];
    thread::scope(|scope| {
        for n in 0..6 {
            let script = format!("sleep 30; echo {n}");
            let store = open(&site.kubeconfig(&format!("sleeps-{n}"), None, Some(plugin(&script))));
            scope.spawn(move || {
                refused("get", store.with(&within(ms(3000))).get("k"), ErrorKind::Deadline);
            });
        }
        thread::sleep(ms(300));
        let file = site.scratch.write("token", token.as_str().unwrap()).unwrap();
        let other = site.kubeconfig("other", None, Some(json!({"tokenFile": file})));
        let options = Options::new("m").kubeconfig(other).timeout(ms(2000));
        options.open().unwrap().set("k", "v").unwrap();
    });
}

/// A plugin that hung once held everybody for its caller's whole deadline.
#[test]
fn a_plugin_that_hangs_once_holds_nobody() {
    let site = Site::dev();
    let marker = site.scratch.path().join("marker");
    let script = format!("if mkdir {} 2>/dev/null; then sleep 60; fi; {GIVE}", marker.display());
    let (user, runs) = counted(&site, &script);
    let store = open(&site.kubeconfig("hangs", None, Some(user)));
    let patient = store.with(&within(Duration::from_secs(60)));
    let started = Instant::now();
    let first = thread::spawn(move || patient.get("k").map(drop));
    eventually("the plugin hangs", || marker.exists());
    store.with(&within(ms(8000))).set("k", "v").unwrap();
    first.join().unwrap().unwrap();
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert_eq!(lines(&runs), 2);
}

/// One that lived for 8 s was a run for each request.
#[test]
fn a_credential_that_lives_for_seconds_is_not_asked_for_by_every_request() {
    let site = Site::dev();
    let script = "date -u -d '+8 seconds' +'{\"status\":{\"token\":\"'$TOKEN'\",\"expirationTimestamp\":\"%Y-%m-%dT%H:%M:%SZ\"}}'";
    let (user, runs) = counted(&site, script);
    let store = open(&site.kubeconfig("short", None, Some(user)));
    let started = Instant::now();
    let mut calls = 0;
    while calls < 20 && started.elapsed() < ms(3000) {
        store.get("k").unwrap();
        calls += 1;
    }
    assert_eq!(lines(&runs), 1, "{calls} calls");
}

#[test]
fn a_plugin_that_waits_for_the_user_is_quoted_at_the_deadline() {
    let site = Site::dev();
    let script = "echo 'To sign in, enter the code ABCD-EFGH' >&2; sleep 60";
    let store = open(&site.kubeconfig("device", None, Some(plugin(script))));
    let error = refused("get", store.with(&within(ms(1500))).get("k"), ErrorKind::Deadline);
    assert!(error.to_string().contains("ABCD-EFGH"), "{error}");
}

/// The host is killed: its plugin, and what that had started, went on without anybody to read what they say.
#[test]
fn a_plugin_and_its_children_end_with_their_host() {
    let name = "a_plugin_and_its_children_end_with_their_host";
    let Some(kubeconfig) = inside() else {
        let site = Site::dev();
        let pids = site.scratch.path().join("pids");
        let script = format!("sleep 300 & echo $$ $! > {0}.new; mv {0}.new {0}; wait", pids.display());
        let kubeconfig = site.kubeconfig("host", None, Some(plugin(&script)));
        let mut host = std::process::Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact"])
            .env("MAPSTORE_TEST_INSIDE", &kubeconfig)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        eventually("the plugin runs", || pids.exists());
        let pids = fs::read_to_string(&pids).unwrap();
        let running = |pid: &str| {
            let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            !state.is_empty() && !state.contains(") Z")
        };
        assert!(pids.split_whitespace().all(running), "{pids}");
        host.kill().unwrap();
        host.wait().unwrap();
        return eventually("both are gone", || !pids.split_whitespace().any(running));
    };
    let _ = open(&kubeconfig).with(&within(Duration::from_secs(60))).get("k");
}

/// A token file that is replaced without a rename is empty for a moment.
#[test]
fn a_token_file_that_is_empty_for_a_moment_fails_no_call() {
    let site = Site::dev();
    let token = site.sections().user["token"].as_str().unwrap().to_owned();
    let file = site.scratch.write("token", "").unwrap();
    let store = open(&site.kubeconfig("swapped", None, Some(json!({"tokenFile": file}))));
    for fate in ["at the first call", "after a 401"] {
        fs::write(&file, "").unwrap();
        let (path, whole) = (file.clone(), token.clone());
        let swap = thread::spawn(move || {
            thread::sleep(ms(100));
            fs::write(path, whole).unwrap();
        });
        store.get("k").unwrap_or_else(|error| panic!("{fate}: {error}"));
        swap.join().unwrap();
        fs::write(&file, "wrong").unwrap();
    }
}

/// Answers with the name of who asks, as the client certificate says; 401 to everybody else.
fn knows(welcome: &Arc<Mutex<Vec<u8>>>) -> impl Fn(&Asked) -> String + Send + Sync + 'static {
    let welcome = welcome.clone();
    move |asked| match &asked.certificate {
        Some(shown) if *shown == *welcome.lock().unwrap() => map_with("k", "v"),
        _ => answer(401, "", "{\"kind\":\"Status\",\"reason\":\"Unauthorized\",\"message\":\"who?\"}"),
    }
}

fn with_client_files(
    scratch: &Scratch,
    server: &Speaker,
    own: &Pair,
    client: &Pair,
) -> (Store, [PathBuf; 2]) {
    let files = [
        scratch.write("client.crt", &client.certificate).unwrap(),
        scratch.write("client.key", &client.key).unwrap(),
    ];
    let cluster = json!({"server": server.url(), "certificate-authority-data": data(&own.certificate)});
    let user = json!({"client-certificate": files[0], "client-key": files[1]});
    (open(&kubeconfig(scratch, "client", cluster, user)), files)
}

#[test]
fn a_client_certificate_is_read_anew_after_a_401() {
    let (scratch, own) = (Scratch::new("client").unwrap(), pair("server"));
    let (old, new) = (pair("old"), pair("new"));
    let welcome = Arc::new(Mutex::new(old.der.clone()));
    let server = Speaker::secured(&own, knows(&welcome));
    let (store, files) = with_client_files(&scratch, &server, &own, &old);
    assert_eq!(store.get("k").unwrap().as_deref(), Some(&b"v"[..]));
    fs::write(&files[0], &new.certificate).unwrap();
    fs::write(&files[1], &new.key).unwrap();
    *welcome.lock().unwrap() = new.der;
    assert_eq!(store.get("k").unwrap().as_deref(), Some(&b"v"[..]));
    // Somebody who isn't known at all is told so.
    welcome.lock().unwrap().clear();
    refused("get", store.get("k"), ErrorKind::Unauthorized);
}

#[test]
fn a_client_certificate_that_has_changed_is_shown_soon() {
    let (scratch, own) = (Scratch::new("client").unwrap(), pair("server"));
    let (old, new) = (pair("old"), pair("new"));
    let server = Speaker::secured(&own, |_| map_with("k", "v"));
    let (store, files) = with_client_files(&scratch, &server, &own, &old);
    store.get("k").unwrap();
    // Half-replaced, it doesn't fit its key: the one that is known still does.
    fs::write(&files[0], &new.certificate).unwrap();
    thread::sleep(ms(1200));
    store.get("k").unwrap();
    fs::write(&files[1], &new.key).unwrap();
    eventually("the new certificate is shown", || {
        store.get("k").unwrap();
        server.asked.lock().unwrap().last().unwrap().certificate.as_ref() == Some(&new.der)
    });
}

/// `openssl req -x509` gives CA:TRUE, and people use that certificate for the server and as its authority.
#[test]
fn a_server_that_is_its_own_authority_is_believed() {
    let (scratch, own, other) = (Scratch::new("own").unwrap(), pair("server"), pair("other"));
    let server = Speaker::secured(&own, |_| map_with("k", "v"));
    let asks = |name: &str, authority: &str, more: Json| {
        let mut cluster = json!({"server": server.url(), "certificate-authority-data": data(authority)});
        cluster.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        open(&kubeconfig(&scratch, name, cluster, json!({}))).get("k")
    };
    assert!(asks("own", &own.certificate, json!({})).unwrap().is_some());
    assert!(asks("named", &own.certificate, json!({"tls-server-name": "localhost"})).unwrap().is_some());
    let wrong = asks("wrong", &own.certificate, json!({"tls-server-name": "example.com"}));
    let error = refused("another name", wrong, ErrorKind::Config);
    assert!(error.to_string().contains("example.com"), "{error}");
    let error = refused("another authority", asks("other", &other.certificate, json!({})), ErrorKind::Config);
    assert!(error.to_string().contains("certificate-authority"), "{error}");
}

fn refused_at_open(cluster: Json, user: Json) -> Error {
    let scratch = Scratch::new("broken").unwrap();
    let path = kubeconfig(&scratch, "broken", cluster, user);
    refused("open", Options::new("m").kubeconfig(path).open(), ErrorKind::Config)
}

#[test]
fn certificates_and_keys_that_cannot_be_used_are_said_at_open() {
    let (one, two) = (pair("one"), pair("two"));
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAQID\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let server = json!({"server": "https://127.0.0.1:1", "insecure-skip-tls-verify": true});
    for (certificate, key, expected) in [
        (one.certificate.as_str(), encrypted, "encrypted"),
        (&one.certificate, &two.key, "client certificate"),
        (&one.certificate, "nothing", "client key"),
        ("nothing", &one.key, "client certificate"),
    ] {
        let user = json!({"client-certificate-data": data(certificate), "client-key-data": data(key)});
        let error = refused_at_open(server.clone(), user).to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let cluster = json!({"server": "https://127.0.0.1:1", "certificate-authority-data": data("nothing")});
    let error = refused_at_open(cluster, json!({})).to_string();
    assert!(error.contains("certificate"), "{error}");
}

/// The first answer of a server that shuts down is followed by a new connection, where another one answers: 11 to 14
/// requests went to the dying one, and the call failed.
#[test]
fn a_server_that_shuts_down_is_left_at_once() {
    for (status, headers) in [
        (503, "retry-after: 1\r\n"),
        (503, "connection: close\r\n"),
        (429, "retry-after: 5\r\nconnection: close\r\n"),
    ] {
        let scratch = Scratch::new("dying").unwrap();
        let server = Speaker::plain(move |asked| match asked.connection {
            0 => answer(status, headers, "{\"kind\":\"Status\"}"),
            _ => map_with("k", "v"),
        });
        let store = open(&kubeconfig(&scratch, "dying", json!({"server": server.url()}), json!({})));
        let started = Instant::now();
        store.get("k").unwrap_or_else(|error| panic!("{status} {headers}: {error}"));
        assert!(started.elapsed() < ms(900), "{status} {headers}: {:?}", started.elapsed());
        assert_eq!(server.by_connection(), [1, 1], "{status} {headers}");
    }
}

/// One that is busy is obeyed, and asked on another connection then.
#[test]
fn a_server_that_is_busy_is_obeyed() {
    let scratch = Scratch::new("busy").unwrap();
    let server = Speaker::plain(|asked| match asked.connection {
        0 => answer(429, "retry-after: 1\r\n", "slow down"),
        _ => map_with("k", "v"),
    });
    let store = open(&kubeconfig(&scratch, "busy", json!({"server": server.url()}), json!({})));
    let started = Instant::now();
    store.get("k").unwrap();
    assert!(started.elapsed() >= ms(1000));
    assert_eq!(server.by_connection(), [1, 1]);
}

#[test]
fn what_is_no_api_server_is_named_with_its_whole_address() {
    for body in ["404 page not found\n", "<html><h1>Not Found</h1></html>"] {
        let scratch = Scratch::new("html").unwrap();
        let server = Speaker::plain(move |_| answer(404, "", body));
        let address = format!("{}/k8s/clusters/c-1", server.url());
        let store = open(&kubeconfig(&scratch, "html", json!({"server": address}), json!({})));
        for answer in [store.get("k").map(drop), store.set("k", "v").map(drop), store.verify_connection()] {
            let error = refused("call", answer, ErrorKind::Unavailable);
            assert!(error.to_string().contains(&address), "{error}");
            assert_eq!(error.http_status(), Some(404));
        }
        assert!(server.asked.lock().unwrap()[0].head.starts_with("GET /k8s/clusters/c-1/api/v1/"));
    }
}

/// A host in Rust that sets up TLS of its own afterwards found the provider chosen already.
#[test]
fn no_crypto_provider_is_installed_in_the_host() {
    let Some(kubeconfig) = inside() else {
        let site = Site::dev();
        let kubeconfig = site.kubeconfig("direct", None, None);
        return alone("no_crypto_provider_is_installed_in_the_host", &kubeconfig, |_| {});
    };
    let store = open(&kubeconfig);
    store.set("k", "v").unwrap();
    assert!(rustls::crypto::CryptoProvider::get_default().is_none());
}

/// Without nodelay sets of 200 kB stalled for 40 to 60 ms in one of six.
#[test]
fn connections_have_nodelay_keepalive_and_a_user_timeout() {
    let Some(kubeconfig) = inside() else {
        let site = Site::dev();
        let kubeconfig = site.kubeconfig("direct", None, None);
        return alone("connections_have_nodelay_keepalive_and_a_user_timeout", &kubeconfig, |_| {});
    };
    let store = open(&kubeconfig);
    store.set("k", "v").unwrap();
    let mut found = 0;
    for fd in fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
    {
        // SAFETY: the descriptor is left open.
        let socket = std::mem::ManuallyDrop::new(unsafe { socket2::Socket::from_raw_fd(fd) });
        if socket.peer_addr().is_ok_and(|peer| peer.as_socket_ipv4().is_some()) {
            found += 1;
            assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(30));
            let timeout = socket.tcp_user_timeout().unwrap().unwrap();
            assert!((30..=60).contains(&timeout.as_secs()), "{timeout:?} on {}", socket.as_raw_fd());
        }
    }
    assert!(found > 0);
}

/// A proxy that speaks TLS is verified by the system's authorities, and the cluster's client certificate isn't shown to it.
#[test]
fn an_https_proxy_is_verified_by_the_system_and_never_shown_the_client_certificate() {
    let name = "an_https_proxy_is_verified_by_the_system_and_never_shown_the_client_certificate";
    let Some(kubeconfig_file) = inside() else {
        let (scratch, own, client, system) =
            (Scratch::new("https").unwrap(), pair("cluster"), pair("client"), pair("proxy"));
        // It never connects anybody: what it is shown and asked is all there is to see.
        let proxy = Speaker::secured(&system, |_| answer(502, "", "no"));
        let user = json!({"client-certificate-data": data(&client.certificate), "client-key-data": data(&client.key)});
        let cluster = json!({
            "server": "https://cluster.invalid:6443", "certificate-authority-data": data(&own.certificate),
            "proxy-url": format!("https://u%40x:t0psecret@{}", proxy.address()),
        });
        let kubeconfig_file = kubeconfig(&scratch, "proxied", cluster, user);
        let roots = scratch.write("roots", &system.certificate).unwrap();
        alone(name, &kubeconfig_file, |command| {
            command.env("SSL_CERT_FILE", &roots).env("EXPECTED", "cluster.invalid");
        });
        let asked = std::mem::take(&mut *proxy.asked.lock().unwrap());
        assert!(asked[0].head.starts_with("CONNECT cluster.invalid:6443 "), "{}", asked[0].head);
        let credentials = format!("Basic {}", STANDARD.encode("u@x:t0psecret"));
        assert!(asked[0].head.contains(&credentials), "{}", asked[0].head);
        assert!(asked.iter().all(|asked| asked.certificate.is_none()));
        // The cluster's authority says nothing about the proxy.
        let roots = scratch.write("roots", &own.certificate).unwrap();
        alone(name, &kubeconfig_file, |command| {
            command.env("SSL_CERT_FILE", &roots).env("EXPECTED", "certificate of the https proxy");
        });
        assert!(proxy.asked.lock().unwrap().is_empty());
        return;
    };
    let store = Options::new("m").kubeconfig(kubeconfig_file).timeout(ms(1500)).open().unwrap();
    let error = store.get("k").unwrap_err();
    let text = format!("{error} {:?} {}", error, with_sources(&error));
    assert!(text.contains(&std::env::var("EXPECTED").unwrap()), "{text}");
    assert!(!text.contains("t0psecret"), "{text}");
}

/// An error with all its sources.
fn with_sources(error: &Error) -> String {
    let mut text = String::new();
    let mut next: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(error) = next {
        text = format!("{text} {error}");
        next = error.source();
    }
    text
}

/// Speaks just enough SOCKS5 (RFC 1928, 1929) to connect whatever is asked for to one server.
fn socks_proxy(server: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let log = asked.clone();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let log = log.clone();
            thread::spawn(move || socks_connection(client, server, &log));
        }
    });
    (address, asked)
}

fn socks_connection(mut client: TcpStream, server: SocketAddr, asked: &Mutex<Vec<String>>) -> Option<()> {
    let mut take = |count: usize| {
        let mut bytes = vec![0; count];
        client.read_exact(&mut bytes).ok().map(|()| bytes)
    };
    let methods = take(2)?[1];
    let with_password = take(methods.into())?.contains(&2);
    client.write_all(&[5, if with_password { 2 } else { 0 }]).ok()?;
    let mut take = |count: usize| {
        let mut bytes = vec![0; count];
        client.read_exact(&mut bytes).ok().map(|()| String::from_utf8_lossy(&bytes).into_owned())
    };
    let mut who = String::new();
    if with_password {
        let length = take(2)?.as_bytes()[1];
        let user = take(length.into())?;
        let length = take(1)?.as_bytes()[0];
        who = format!("{user}:{}@", take(length.into())?);
        client.write_all(&[1, 0]).ok()?;
    }
    let mut take = |count: usize| {
        let mut bytes = vec![0; count];
        client.read_exact(&mut bytes).ok().map(|()| bytes)
    };
    let kind = take(4)?[3];
    let host = match kind {
        3 => {
            let length = take(1)?[0];
            String::from_utf8(take(length.into())?).ok()?
        }
        _ => format!("{:?}", take(4)?),
    };
    let port = take(2)?;
    asked.lock().unwrap().push(format!("{who}{host}:{}", u16::from_be_bytes([port[0], port[1]])));
    client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0]).ok()?;
    let mut server = TcpStream::connect(server).ok()?;
    let (mut answers, mut back) = (server.try_clone().ok()?, client.try_clone().ok()?);
    thread::spawn(move || std::io::copy(&mut answers, &mut back));
    std::io::copy(&mut client, &mut server).ok().map(drop)
}

#[test]
fn a_socks_proxy_is_used_and_looks_the_name_up() {
    let site = Site::dev();
    let (address, asked) = socks_proxy(site.address());
    for (scheme, user) in [("socks5", ""), ("socks5", "u%40x:p@")] {
        let mut sections = site.sections();
        sections.context = json!({"namespace": site.namespace});
        sections.cluster["server"] = json!("https://cluster.invalid:6443");
        sections.cluster["tls-server-name"] = json!("127.0.0.1");
        sections.cluster["proxy-url"] = json!(format!("{scheme}://{user}{address}"));
        let path = site.scratch.write("socks", sections.to_kubeconfig().to_string()).unwrap();
        open(&path).set("k", "v").unwrap();
        let asked = std::mem::take(&mut *asked.lock().unwrap());
        let expected = format!("{}cluster.invalid:6443", user.replace("%40", "@"));
        assert!(!asked.is_empty() && asked.iter().all(|one| *one == expected), "{asked:?}");
    }
}
