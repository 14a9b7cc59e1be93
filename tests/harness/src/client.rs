//! Requests from outside: what another program, or a person with kubectl, does to the cluster.
//!
//! Raw on purpose: a method, a path, a body, and whatever the server says to it. Nothing is retried.

use std::path::Path;
use std::time::Duration;

use http_body_util::BodyExt;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::{Error, Result};

/// How a request's body is to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    Json,
    MergePatch,
    StrategicMergePatch,
    JsonPatch,
    ApplyPatch,
}

/// What the server said. The body is `Value::String` if it wasn't JSON.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub body: Value,
}

/// Credentials and a connection pool of its own. Blocking.
pub struct Client {
    runtime: Runtime,
    kube: kube::Client,
}

impl Client {
    const PATIENCE: Duration = Duration::from_secs(30);

    pub fn from_kubeconfig(path: &Path) -> Result<Client> {
        let doing = format!("client of {}", path.display());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|e| Error::failed(&doing, e))?;
        let kube = runtime.block_on(connect(path)).map_err(|e| Error::failed(&doing, e))?;
        Ok(Client { runtime, kube })
    }

    /// `query` without the question mark; `body` null sends none.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        query: &str,
        media: Media,
        body: &Value,
    ) -> Result<Reply> {
        let uri = match query {
            "" => path.to_owned(),
            query => format!("{path}?{query}"),
        };
        let doing = format!("{method} {uri}");
        let request = http::Request::builder()
            .method(method)
            .uri(uri)
            .header("accept", "application/json")
            .header("content-type", media.content_type())
            .body(encode(body))
            .map_err(|e| Error::failed(&doing, e))?;
        self.runtime
            .block_on(async { tokio::time::timeout(Client::PATIENCE, self.send(request)).await })
            .map_err(|_| Error::failed(&doing, "no answer"))?
            .map_err(|e| Error::failed(&doing, e))
    }

    pub fn get(&self, path: &str) -> Result<Reply> {
        self.request("GET", path, "", Media::Json, &Value::Null)
    }

    pub fn post(&self, path: &str, body: &Value) -> Result<Reply> {
        self.request("POST", path, "", Media::Json, body)
    }

    pub fn put(&self, path: &str, body: &Value) -> Result<Reply> {
        self.request("PUT", path, "", Media::Json, body)
    }

    pub fn patch(&self, path: &str, media: Media, body: &Value) -> Result<Reply> {
        self.request("PATCH", path, "", media, body)
    }

    pub fn delete(&self, path: &str) -> Result<Reply> {
        self.request("DELETE", path, "", Media::Json, &Value::Null)
    }

    async fn send(
        &self,
        request: http::Request<Body>,
    ) -> std::result::Result<Reply, Box<dyn std::error::Error + Send + Sync>> {
        let (head, body) = self.kube.send(request).await?.into_parts();
        let bytes = body.collect().await?.to_bytes();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Ok(Reply { status: head.status.as_u16(), body })
    }
}

impl Media {
    fn content_type(self) -> &'static str {
        match self {
            Media::Json => "application/json",
            Media::MergePatch => "application/merge-patch+json",
            Media::StrategicMergePatch => "application/strategic-merge-patch+json",
            Media::JsonPatch => "application/json-patch+json",
            Media::ApplyPatch => "application/apply-patch+yaml",
        }
    }
}

impl Reply {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body of a success; else an error that quotes the server.
    pub fn success(self, doing: &str) -> Result<Value> {
        if self.is_success() {
            return Ok(self.body);
        }
        let said = match &self.body["message"] {
            Value::String(message) => message.clone(),
            _ => self.body.to_string(),
        };
        Err(Error::failed(doing, format!("{}: {said}", self.status)))
    }
}

async fn connect(path: &Path) -> std::result::Result<kube::Client, Box<dyn std::error::Error + Send + Sync>> {
    let kubeconfig = Kubeconfig::read_from(path)?;
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.default_retry = false;
    config.proxy_url = None;
    Ok(kube::Client::try_from(config)?)
}

fn encode(body: &Value) -> Body {
    match body {
        Value::Null => Body::empty(),
        body => Body::from(body.to_string().into_bytes()),
    }
}
