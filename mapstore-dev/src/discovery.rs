//! Everything that isn't about an object: health, version, and enough
//! discovery for kubectl to find ConfigMaps and Namespaces.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::status::Status;

/// The API this server imitates.
const VERSION: &str = "v1.36.0";

pub fn no_path() -> Answer {
    Answer::text(404, "404 page not found\n")
}

pub fn answer(method: &str, path: &str) -> Answer {
    match path.trim_end_matches('/') {
        "/api" | "/apis" | "/api/v1" if method != "GET" => Status::method_not_allowed().into(),
        "/livez" | "/readyz" | "/healthz" => Answer::text(200, "ok"),
        "/version" => Answer::json(200, version()),
        "/api" => Answer::json(200, versions()),
        "/apis" => Answer::json(200, groups()),
        "/apis/coordination.k8s.io" => Answer::json(200, group()),
        "/apis/coordination.k8s.io/v1" => Answer::json(200, leases()),
        "/api/v1" => Answer::json(200, resources()),
        "/openapi/v3" => Answer::json(200, openapi_index()),
        "/openapi/v3/api/v1" => Answer::json(200, openapi()),
        "" => Answer::json(
            200,
            json!({"paths": ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]}),
        ),
        _ => no_path(),
    }
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "36", "gitVersion": format!("{VERSION}-mapstore-dev.{}", env!("CARGO_PKG_VERSION")),
        "gitCommit": "", "gitTreeState": "", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "", "compiler": "rustc", "platform": std::env::consts::OS,
    })
}

fn versions() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
}

fn resources() -> Value {
    json!({
        "kind": "APIResourceList", "groupVersion": "v1",
        "resources": [
            {"name": "configmaps", "singularName": "configmap", "namespaced": true, "kind": "ConfigMap",
             "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
             "shortNames": ["cm"]},
            {"name": "namespaces", "singularName": "namespace", "namespaced": false, "kind": "Namespace",
             "verbs": ["create", "delete", "get", "list"], "shortNames": ["ns"]},
        ],
    })
}

/// The group of Leases.
fn group() -> Value {
    let version = json!({"groupVersion": "coordination.k8s.io/v1", "version": "v1"});
    json!({
        "kind": "APIGroup", "apiVersion": "v1", "name": "coordination.k8s.io",
        "versions": [version], "preferredVersion": version,
    })
}

fn groups() -> Value {
    let mut group = group();
    if let Value::Object(map) = &mut group {
        map.remove("kind");
        map.remove("apiVersion");
    }
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group]})
}

fn leases() -> Value {
    json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "coordination.k8s.io/v1",
        "resources": [{"name": "leases", "singularName": "lease", "namespaced": true, "kind": "Lease",
            "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]}],
    })
}

fn openapi_index() -> Value {
    json!({"paths": {"api/v1": {"serverRelativeURL": "/openapi/v3/api/v1"}}})
}

/// What `kubectl create` looks up: whether the server validates fields itself,
/// so that kubectl need not.
fn openapi() -> Value {
    let parameter =
        |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
    let operation = |kind: &str| {
        json!({
            "parameters": [parameter("dryRun"), parameter("fieldManager"), parameter("fieldValidation")],
            "responses": {"200": {"description": "OK"}},
            "x-kubernetes-group-version-kind": {"group": "", "version": "v1", "kind": kind},
        })
    };
    let item = |kind: &str| json!({"patch": operation(kind), "put": operation(kind)});
    json!({
        "openapi": "3.0.0",
        "info": {"title": "mapstore-dev", "version": VERSION},
        "paths": {
            "/api/v1/namespaces/{namespace}/configmaps/{name}": item("ConfigMap"),
            "/api/v1/namespaces/{namespace}/configmaps": {"post": operation("ConfigMap")},
            "/api/v1/namespaces/{name}": item("Namespace"),
            "/api/v1/namespaces": {"post": operation("Namespace")},
        },
    })
}
