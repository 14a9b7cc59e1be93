//! Where cluster and namespace come from, as the environment of a whole process says it, and the proxies on the way.
//! Order and messages in detail: the unit tests in `src/config.rs`.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::{fs, thread};

use mapstore::{Cache, ErrorKind, Options, Store};
use serde_json::json;
use support::*;

#[track_caller]
fn works(store: &Store) {
    store.set("k", "v").unwrap();
    assert_eq!(store.get("k").unwrap().as_deref(), Some(&b"v"[..]));
}

#[test]
fn the_kubeconfig_named_by_the_environment() {
    let Some(_) = inside() else {
        let site = Site::dev();
        let good = site.kubeconfig("good", None, None);
        let broken = site.scratch.write("broken", "{").unwrap();
        let missing = site.scratch.path().join("missing");
        let run = |variables: &[(&str, &std::path::Path)]| {
            alone("the_kubeconfig_named_by_the_environment", &good, |command| {
                command.env("EXPECTED_NAMESPACE", &site.namespace).envs(variables.iter().copied());
            });
        };
        run(&[("MAPSTORE_CLUSTER_CONFIG_PATH", &good), ("KUBECONFIG", &broken)]);
        run(&[("MAPSTORE_CLUSTER_CONFIG_PATH", std::path::Path::new("")), ("KUBECONFIG", &good)]);
        // A list: missing ones are passed over, the first that names a context has it.
        let list = std::env::join_paths([&missing, &good]).unwrap();
        return run(&[("KUBECONFIG", list.as_ref())]);
    };
    let store = Store::open("m").unwrap();
    assert_eq!(store.namespace(), std::env::var("EXPECTED_NAMESPACE").unwrap());
    works(&store);
}

/// A list whose files have one part each: the cluster, the user and the context.
#[test]
fn a_kubeconfig_list_is_merged() {
    let Some(_) = inside() else {
        let site = Site::dev();
        let mut whole = site.sections().to_kubeconfig();
        whole["contexts"][0]["context"]["namespace"] = json!(site.namespace);
        let part = |name: &str, fields: &[&str]| {
            let mut part = json!({"apiVersion": "v1", "kind": "Config"});
            for field in fields {
                part[field] = whole[field].clone();
            }
            site.scratch.write(name, part.to_string()).unwrap()
        };
        let parts = [
            part("context", &["contexts", "current-context"]),
            part("cluster", &["clusters"]),
            part("user", &["users"]),
        ];
        let list = std::env::join_paths(&parts).unwrap();
        return alone("a_kubeconfig_list_is_merged", &parts[0], |command| {
            command.env("KUBECONFIG", list);
        });
    };
    works(&Store::open("m").unwrap());
}

#[test]
fn the_kubeconfig_in_the_home_directory_and_the_namespace_of_the_environment() {
    let Some(_) = inside() else {
        let site = Site::dev();
        let kubeconfig = site.kubeconfig(".kube/config", None, None);
        let other = site.cluster.fresh_namespace().unwrap();
        let name = "the_kubeconfig_in_the_home_directory_and_the_namespace_of_the_environment";
        return alone(name, &kubeconfig, |command| {
            command.env("HOME", site.scratch.path()).env("NAMESPACE", format!(" {other}\n"));
        });
    };
    let store = Store::open("m").unwrap();
    assert_eq!(store.namespace(), std::env::var("NAMESPACE").unwrap().trim());
    works(&store);
}

#[test]
fn without_any_configuration_the_error_lists_what_was_tried() {
    let Some(_) = inside() else {
        let folder = std::path::Path::new("/");
        return alone("without_any_configuration_the_error_lists_what_was_tried", folder, |_| {});
    };
    let error = refused("open", Store::open("m"), ErrorKind::Config).to_string();
    for tried in
        ["kubeconfig", "MAPSTORE_CLUSTER_CONFIG_PATH", "KUBECONFIG", "service account", ".kube/config"]
    {
        assert!(error.contains(tried), "{tried}: {error}");
    }
}

/// What the environment says is read when a store is opened, and never again.
#[test]
fn the_environment_is_read_at_open_only() {
    let Some(kubeconfig) = inside() else {
        let site = Site::dev();
        let kubeconfig = site.kubeconfig("good", None, None);
        return alone("the_environment_is_read_at_open_only", &kubeconfig, |command| {
            command.env("KUBECONFIG", &kubeconfig);
        });
    };
    let store = Store::open("m").unwrap();
    // SAFETY: no other thread of this process reads the environment now.
    unsafe {
        std::env::set_var("KUBECONFIG", "/nowhere");
        std::env::set_var("HTTPS_PROXY", "http://127.0.0.1:1");
    }
    fs::write(&kubeconfig, "{").unwrap();
    works(&store);
}

/// A tiny CONNECT proxy: it connects whatever it is asked for to one server, and remembers what that was.
struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn before(server: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy { address: listener.local_addr().unwrap(), asked: Arc::default() };
        let asked = proxy.asked.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let asked = asked.clone();
                thread::spawn(move || connect(client, server, &asked));
            }
        });
        proxy
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn connect(mut client: TcpStream, server: SocketAddr, asked: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match client.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
    asked.lock().unwrap().push(line);
    let mut server = TcpStream::connect(server).unwrap();
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let (mut answers, mut back) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let down = thread::spawn(move || {
        let _ = std::io::copy(&mut answers, &mut back);
        let _ = back.shutdown(Shutdown::Both);
    });
    let _ = std::io::copy(&mut client, &mut server);
    let _ = server.shutdown(Shutdown::Both);
    let _ = down.join();
}

/// Under a name that only the proxy knows; the certificate is checked against the one it has.
fn behind_a_proxy(site: &Site, name: &str) -> std::path::PathBuf {
    let mut sections = site.sections();
    sections.context = json!({"namespace": site.namespace});
    sections.cluster["server"] = json!("https://cluster.invalid:6443");
    sections.cluster["tls-server-name"] = json!("127.0.0.1");
    site.scratch.write(name, sections.to_kubeconfig().to_string()).unwrap()
}

#[test]
fn a_proxy_named_by_the_environment() {
    let Some(kubeconfig) = inside() else {
        let site = Site::dev();
        let proxy = Proxy::before(site.address());
        for variable in ["HTTPS_PROXY", "https_proxy"] {
            alone("a_proxy_named_by_the_environment", &behind_a_proxy(&site, "proxied"), |command| {
                command.env(variable, format!("http://{}", proxy.address));
            });
            let asked = proxy.asked();
            assert!(!asked.is_empty());
            assert!(asked.iter().all(|line| line.starts_with("CONNECT cluster.invalid:6443 ")), "{asked:?}");
        }
        return;
    };
    works(&Options::new("m").kubeconfig(kubeconfig).cache(Cache::Exclusive).open().unwrap());
}

#[test]
fn a_proxy_is_not_used_for_what_no_proxy_names() {
    let Some(kubeconfig) = inside() else {
        let site = Site::dev();
        let proxy = Proxy::before(site.address());
        for no_proxy in ["cluster.invalid", ".invalid", "example.com, cluster.invalid", "*"] {
            let kubeconfig = behind_a_proxy(&site, "proxied");
            alone("a_proxy_is_not_used_for_what_no_proxy_names", &kubeconfig, |command| {
                command.env("HTTPS_PROXY", format!("http://{}", proxy.address)).env("NO_PROXY", no_proxy);
            });
            assert_eq!(proxy.asked(), Vec::<String>::new(), "{no_proxy}");
        }
        return;
    };
    let store = Options::new("m").kubeconfig(kubeconfig).timeout(ms(500)).open().unwrap();
    let error = store.get("k").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Deadline), "{error:?}");
}

#[test]
fn a_server_on_this_machine_is_never_asked_through_a_proxy() {
    let Some(kubeconfig) = inside() else {
        let site = Site::dev();
        let proxy = Proxy::before(site.address());
        alone(
            "a_server_on_this_machine_is_never_asked_through_a_proxy",
            &site.kubeconfig("direct", None, None),
            |command| {
                command.env("HTTPS_PROXY", format!("http://{}", proxy.address));
            },
        );
        assert_eq!(proxy.asked(), Vec::<String>::new());
        return;
    };
    works(&Options::new("m").kubeconfig(kubeconfig).open().unwrap());
}

#[test]
fn a_proxy_named_by_the_kubeconfig() {
    let site = Site::dev();
    let proxy = Proxy::before(site.address());
    let mut sections = site.sections();
    sections.context = json!({"namespace": site.namespace});
    sections.cluster["proxy-url"] = json!(format!("http://{}", proxy.address));
    let kubeconfig = site.scratch.write("proxied", sections.to_kubeconfig().to_string()).unwrap();
    works(&Options::new("m").kubeconfig(kubeconfig).open().unwrap());
    assert!(!proxy.asked().is_empty());
}

/// A plugin is run once for as long as its credential is good, whoever asks.
#[test]
fn a_plugin_is_run_when_its_credential_is_needed() {
    let site = Site::dev();
    let token = site.sections().user["token"].as_str().unwrap().to_owned();
    let (count, file) = (site.scratch.path().join("count"), site.scratch.path().join("answer"));
    let script = format!("echo run >> {}; cat {}", count.display(), file.display());
    let kubeconfig = site.kubeconfig("plugin", None, Some(plugin(&script)));
    let runs = || fs::read_to_string(&count).unwrap_or_default().lines().count();
    let answer = |token: &str, more: &str| {
        fs::write(&file, format!("{{\"status\":{{\"token\":\"{token}\"{more}}}}}")).unwrap();
    };
    answer("wrong", "");
    let store = Options::new("m").kubeconfig(kubeconfig).open().unwrap();
    assert_eq!(runs(), 0, "open sends nothing");
    // Refused credentials are renewed once per call, and not for ever.
    let error = refused("get", store.get("k"), ErrorKind::Unauthorized);
    assert!(!error.to_string().contains("wrong"), "{error}");
    assert_eq!(runs(), 2);
    answer(&token, "");
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| store.get("k").unwrap());
        }
    });
    works(&store);
    assert_eq!(runs(), 3, "once for all");
}

/// A credential that has expired is renewed before it is used.
#[test]
fn an_expired_credential_is_renewed() {
    let site = Site::dev();
    let token = site.sections().user["token"].as_str().unwrap().to_owned();
    let count = site.scratch.path().join("count");
    let script = format!(
        "echo run >> {}; echo '{{\"status\":{{\"token\":\"{token}\",\"expirationTimestamp\":\"2020-02-02T02:02:02Z\"}}}}'",
        count.display()
    );
    let kubeconfig = site.kubeconfig("plugin", None, Some(plugin(&script)));
    let store = Options::new("m").kubeconfig(kubeconfig).open().unwrap();
    for _ in 0..3 {
        store.get("k").unwrap();
    }
    assert_eq!(fs::read_to_string(&count).unwrap().lines().count(), 3);
}

/// The authority in the kubeconfig is another one's: said soon, and with the place to look at.
#[test]
fn a_certificate_of_another_authority() {
    let (site, other) = (Site::dev(), Site::dev());
    let mut sections = site.sections();
    sections.cluster["certificate-authority-data"] =
        other.sections().cluster["certificate-authority-data"].clone();
    let kubeconfig = site.scratch.write("other", sections.to_kubeconfig().to_string()).unwrap();
    let store = Options::new("m").kubeconfig(kubeconfig).open().unwrap();
    for answer in [store.get("k").map(drop), store.set("k", "v").map(drop), store.verify_connection()] {
        let error = refused("call", answer, ErrorKind::Config);
        assert!(error.to_string().contains("certificate"), "{error}");
    }
    assert_eq!(site.value("k"), None);
}

/// The error names the file; once it is right, the store works.
#[test]
fn a_token_file_that_is_missing_or_empty() {
    let site = Site::dev();
    let file = site.scratch.path().join("token");
    let kubeconfig = site.kubeconfig("file", None, Some(json!({"tokenFile": file})));
    let store = Options::new("m").kubeconfig(kubeconfig).open().unwrap();
    assert!(refused("get", store.get("k"), ErrorKind::Config).to_string().contains("token"));
    fs::write(&file, "\n").unwrap();
    assert!(refused("set", store.set("k", "v"), ErrorKind::Config).to_string().contains("empty"));
    fs::write(&file, format!("{}\n", site.sections().user["token"].as_str().unwrap())).unwrap();
    works(&store);
    // It goes away for a moment: the token known still does.
    fs::remove_file(&file).unwrap();
    works(&store);
}
