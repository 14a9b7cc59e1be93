//! The server as its users meet it: over TLS, on a port, started and stopped,
//! by well-behaved and by broken clients. Needs nothing but itself.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use mapstore_dev::{DevServer, Rule};
use serde_json::{Value, json};
use support::client::{Answer, Endpoint};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

struct Client {
    endpoint: Endpoint,
    token: String,
}

impl Client {
    fn admin(server: &DevServer) -> Client {
        Client::new(server, server.admin_token())
    }

    fn new(server: &DevServer, token: &str) -> Client {
        Client { endpoint: Endpoint::new(&server.url(), server.ca_pem()), token: token.into() }
    }

    fn send(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Answer {
        let authorization = ("Authorization", format!("Bearer {}", self.token));
        let headers = [authorization, ("Content-Type", kind.to_string())];
        self.endpoint.send(method, path, &headers, body).expect("an answer")
    }

    fn create(&self, name: &str, data: Value) -> Answer {
        let body = json!({"metadata": {"name": name}, "data": data}).to_string();
        self.send("POST", MAPS, "application/json", body.as_bytes())
    }

    fn get(&self, name: &str) -> Answer {
        self.send("GET", &format!("{MAPS}/{name}"), "", b"")
    }
}

#[test]
fn a_map_lives_and_dies() {
    let server = DevServer::start().unwrap();
    let client = Client::admin(&server);
    assert_eq!(client.create("x", json!({"a": "1"})).code, 201);
    let patch = json!({"data": {"b": "2"}}).to_string();
    let kind = "application/strategic-merge-patch+json";
    let patched = client.send("PATCH", &format!("{MAPS}/x"), kind, patch.as_bytes());
    assert_eq!(patched.json()["data"], json!({"a": "1", "b": "2"}));
    assert_eq!(client.send("DELETE", &format!("{MAPS}/x"), "", b"").code, 200);
    assert_eq!(client.get("x").code, 404);
}

#[test]
fn rights_are_given_and_taken() {
    let server = DevServer::start().unwrap();
    Client::admin(&server).create("x", json!({}));
    let rules = r#"[{"apiGroups":[""],"resources":["configmaps"],"resourceNames":["x"],"verbs":["get"]}]"#;
    let rules: Vec<Rule> = serde_json::from_str(rules).unwrap();
    let user = server.add_user("reader", "default", rules);
    let client = Client::new(&server, &user.token);
    assert_eq!(client.get("x").code, 200);
    assert_eq!(client.get("y").code, 403);
    let message = client.create("x", json!({})).json()["message"].to_string();
    assert!(message.contains("system:serviceaccount:default:reader"), "{message}");
    server.revoke(&user);
    assert_eq!(client.get("x").code, 401);
}

#[test]
fn pause_and_resume_keep_everything() {
    let mut server = DevServer::start().unwrap();
    let client = Client::admin(&server);
    client.create("x", json!({"a": "1"}));
    server.pause();
    let headers = [("Authorization", "x".to_string())];
    assert!(client.endpoint.send("GET", MAPS, &headers, b"").is_err());
    server.resume().unwrap();
    assert_eq!(client.get("x").json()["data"]["a"], "1");
    server.stop();
    assert!(client.endpoint.send("GET", MAPS, &headers, b"").is_err());
}

#[test]
fn a_taken_port_is_named() {
    let server = DevServer::start().unwrap();
    let error = DevServer::builder().port(server.port()).start().unwrap_err().to_string();
    assert!(error.contains(&format!("127.0.0.1:{}", server.port())), "{error}");
}

#[test]
fn broken_clients_hold_up_nobody() {
    let server = DevServer::start().unwrap();
    let client = Client::admin(&server);
    let address = server.url().replace("https://", "");
    // Silent before TLS, not TLS at all, silent within TLS, half a body, not HTTP.
    let _silent = TcpStream::connect(&address).unwrap();
    let mut plain = TcpStream::connect(&address).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut half = client.endpoint.connect().unwrap();
    let head = format!(
        "POST {MAPS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 1000\r\n\r\n{{",
        server.admin_token()
    );
    half.write_all(head.as_bytes()).unwrap();
    half.flush().unwrap();
    let mut nonsense = client.endpoint.connect().unwrap();
    nonsense.write_all(b"\x00\xff\x00 nonsense\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = nonsense.read_to_end(&mut answer);
    let begin = Instant::now();
    assert_eq!(client.create("x", json!({})).code, 201);
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    drop(half);
    assert_eq!(client.get("x").code, 200);
    // They are no reason to stop slowly either.
    let begin = Instant::now();
    server.stop();
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

#[test]
fn nothing_a_client_sends_ends_it() {
    let server = DevServer::start().unwrap();
    let client = Client::admin(&server);
    client.create("x", json!({"a": "1"}));
    let deep = "[".repeat(100_000);
    let deep_patch = format!("{}1{}", "{\"a\":".repeat(9_000), "}".repeat(9_000));
    let types = ["merge-patch", "strategic-merge-patch", "json-patch"];
    for body in ["", "{", "\u{0}", "\"", "{\"a\":1e999}", "[{}]", &deep, &deep_patch] {
        for kind in types {
            let kind = format!("application/{kind}+json");
            let code = client.send("PATCH", &format!("{MAPS}/x"), &kind, body.as_bytes()).code;
            assert!((200..500).contains(&code), "{kind} {code}");
        }
        client.send("POST", MAPS, "application/json", body.as_bytes());
        client.send("POST", MAPS, "application/vnd.kubernetes.protobuf", body.as_bytes());
        client.send("DELETE", &format!("{MAPS}/nope"), "application/json", body.as_bytes());
    }
    for path in [
        "/",
        "//",
        "/api//v1",
        "/api/v1/namespaces/%00/configmaps/%ff%",
        "/api/v1/namespaces//configmaps?%=%&&==",
    ] {
        client.send("GET", path, "", b"");
    }
    assert_eq!(client.get("x").json()["data"]["a"], "1");
}

#[test]
fn many_clients_at_once_lose_nothing() {
    let server = DevServer::start().unwrap();
    let client = Client::admin(&server);
    client.create("x", json!({}));
    std::thread::scope(|scope| {
        for t in 0..8 {
            let client = &client;
            scope.spawn(move || {
                for i in 0..10 {
                    let patch = json!({"data": {format!("{t}-{i}"): "v"}}).to_string();
                    let path = format!("{MAPS}/x");
                    let kind = "application/merge-patch+json";
                    assert_eq!(client.send("PATCH", &path, kind, patch.as_bytes()).code, 200);
                }
            });
        }
    });
    assert_eq!(client.get("x").json()["data"].as_object().unwrap().len(), 80);
}

#[test]
fn a_watch_hears_what_happens_and_ends_with_the_server() {
    let mut server = DevServer::start().unwrap();
    let client = Client::admin(&server);
    let revision = client.create("x", json!({})).json()["metadata"]["resourceVersion"].clone();
    let query =
        format!("watch=true&fieldSelector=metadata.name%3Dx&resourceVersion={}", revision.as_str().unwrap());
    let watch = Client::admin(&server);
    let target = format!("{MAPS}?{query}");
    let heard = std::thread::spawn(move || watch.send("GET", &target, "", b""));
    assert_eq!(client.send("DELETE", &format!("{MAPS}/x"), "", b"").code, 200);
    client.create("y", json!({}));
    std::thread::sleep(Duration::from_millis(100));
    let before = Instant::now();
    server.pause();
    let heard = heard.join().unwrap();
    assert!(before.elapsed() < Duration::from_secs(60), "the server waits for a watch");
    let event: Value = serde_json::from_slice(&heard.body).unwrap();
    assert_eq!((heard.code, &event["type"]), (200, &json!("DELETED")));
    // Events of before are gone with the server, as with the real one.
    server.resume().unwrap();
    let late = client.send("GET", &format!("{MAPS}?{query}"), "", b"").json();
    assert_eq!((&late["type"], &late["object"]["code"]), (&json!("ERROR"), &json!(410)));
    let namespaces = client.send("GET", "/api/v1/namespaces?watch=true", "", b"");
    assert_eq!(namespaces.code, 501);
}
