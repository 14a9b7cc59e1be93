//! The requests mapstore sends, one function each, and nothing about when to
//! send them. One request is one try: what to try again is [`crate::retry`]'s,
//! what an answer means for a write [`crate::outcome`]'s business.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Limited};
use hyper_util::client::legacy::connect::capture_connection;
use kube::client::Body;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::cache::{Entry, Side, Snapshot, Value, Version};
use crate::connection::{Connection, chain};
use crate::entry::Revision;
use crate::error::{Error, ErrorKind};
use crate::limits::Try;
use crate::status::{Asked, Failure, Refusal};

const OBJECT: &str = "application/json";
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const USER_AGENT: &str = concat!("mapstore/", env!("CARGO_PKG_VERSION"));
const FIELD_MANAGER: &str = "mapstore";

/// More than any ConfigMap in JSON: 1 MiB of values can be 6 MiB of escaped text.
const MAX_ANSWER: usize = 16 << 20;

/// The requests for one ConfigMap.
pub(crate) struct Api {
    connection: Connection,
    pub namespace: String,
    pub name: String,
}

/// The three ways to write.
#[derive(Clone, Copy)]
pub(crate) enum Write {
    Patch,
    Replace,
    Create,
}

/// Whether a request changes anything.
#[derive(Clone, Copy, PartialEq)]
enum Run {
    Real,
    /// `?dryRun=All`: authorization, admission and validation only.
    Dry,
}

/// The whole object as the server sent it, for writing it back.
pub(crate) struct Object {
    pub json: Json,
    pub snapshot: Snapshot,
}

impl Api {
    pub fn new(connection: Connection, namespace: String, name: String) -> Self {
        Api { connection, namespace, name }
    }

    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    pub fn subject(&self) -> String {
        format!("configmap {}/{}", self.namespace, self.name)
    }

    /// Which version there is; metadata only. `None`: no such map.
    pub async fn look(&self, at: Try) -> Result<Option<Version>, Failure> {
        let answer = self.send(at, Method::GET, &self.path(), METADATA, None).await;
        self.found(answer)?.map(|body| version_of(&body)).transpose()
    }

    /// The whole map.
    pub async fn read(&self, at: Try) -> Result<Snapshot, Failure> {
        let answer = self.send(at, Method::GET, &self.path(), OBJECT, None).await;
        self.found(answer)?.map_or(Ok(Snapshot::missing()), |body| parse::<Wire>(&body)?.snapshot())
    }

    /// The whole object, what mapstore doesn't know of included.
    pub async fn read_object(&self, at: Try) -> Result<Option<Object>, Failure> {
        let answer = self.send(at, Method::GET, &self.path(), OBJECT, None).await;
        let Some(body) = self.found(answer)? else { return Ok(None) };
        Ok(Some(Object { snapshot: parse::<Wire>(&body)?.snapshot()?, json: parse(&body)? }))
    }

    /// A strategic merge patch; answers with the new version.
    pub async fn patch(&self, at: Try, patch: &Json) -> Result<Version, Failure> {
        written(&self.write(at, Write::Patch, patch, Run::Real).await?)
    }

    /// The whole object; it carries the revision it was read at.
    pub async fn replace(&self, at: Try, object: &Json) -> Result<Version, Failure> {
        written(&self.write(at, Write::Replace, object, Run::Real).await?)
    }

    /// Creates the map, empty: sent twice it does no harm.
    pub async fn create(&self, at: Try) -> Result<Version, Failure> {
        written(&self.write(at, Write::Create, &self.bare_object(), Run::Real).await?)
    }

    /// What the server would say to a write, without making it.
    pub async fn rehearse(&self, at: Try, write: Write, body: &Json) -> Result<(), Failure> {
        self.write(at, write, body, Run::Dry).await.map(drop)
    }

    async fn write(&self, at: Try, write: Write, body: &Json, run: Run) -> Result<Bytes, Failure> {
        let (method, path, content_type) = match write {
            Write::Patch => (Method::PATCH, self.path(), STRATEGIC),
            Write::Replace => (Method::PUT, self.path(), OBJECT),
            Write::Create => (Method::POST, self.collection(), OBJECT),
        };
        let path = format!("{path}{}", query(run));
        self.send(at, method, &path, METADATA, Some((content_type, body.to_string()))).await
    }

    pub fn bare_object(&self) -> Json {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": self.name, "namespace": self.namespace}})
    }

    /// A failure as the caller is to see it.
    pub fn error(&self, failure: Failure, verb: &str) -> Error {
        match failure {
            Failure::NotSent(error) | Failure::Silence(error) | Failure::Fatal(error) => error,
            Failure::Refused(refusal) => refusal.to_error(Asked {
                verb,
                namespace: &self.namespace,
                name: &self.name,
                origin: self.connection.origin(),
            }),
        }
    }

    /// Both names were checked at open: kube doesn't escape them.
    fn collection(&self) -> String {
        format!("/api/v1/namespaces/{}/configmaps", self.namespace)
    }

    fn path(&self) -> String {
        format!("{}/{}", self.collection(), self.name)
    }

    fn found(&self, answer: Result<Bytes, Failure>) -> Result<Option<Bytes>, Failure> {
        match answer {
            Err(Failure::Refused(refusal)) if refusal.object_missing() => Ok(None),
            answer => answer.map(Some),
        }
    }

    async fn send(
        &self,
        at: Try,
        method: Method,
        path: &str,
        accept: &str,
        body: Option<(&str, String)>,
    ) -> Result<Bytes, Failure> {
        // A plugin has the same deadline and says more: it is heard first.
        let late = at.deadline + Duration::from_millis(20);
        let session = match tokio::time::timeout_at(late.into(), self.connection.session(at.deadline)).await {
            Ok(session) => session.map_err(Failure::Fatal)?,
            Err(_) => return Err(Failure::NotSent(self.late("no credentials in time"))),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::ACCEPT, accept)
            .header(header::USER_AGENT, USER_AGENT);
        if let Some(authorization) = &session.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let body = match body {
            Some((content_type, text)) => {
                request = request.header(header::CONTENT_TYPE, content_type);
                Body::from(text.into_bytes())
            }
            None => Body::empty(),
        };
        let mut request = request.body(body).map_err(|error| Failure::Fatal(self.defect(&error)))?;
        let connection = capture_connection(&mut request);

        let exchange = self.exchange(&session.client, request);
        let answer = match tokio::time::timeout_at(at.end().into(), exchange).await {
            Ok(answer) => answer,
            // A name look-up or a handshake was never over: there was nothing to send it on.
            Err(_) if connection.connection_metadata().is_none() => {
                Err(Failure::NotSent(self.late("no connection in time")))
            }
            Err(_) => Err(Failure::Silence(self.late("no answer in time"))),
        };
        match &answer {
            Err(Failure::NotSent(_) | Failure::Silence(_)) => {
                self.connection.discard_client(session.epoch).await;
            }
            Err(Failure::Refused(refusal)) if refusal.code == 401 => {
                self.connection.discard_credential(session.epoch).await;
            }
            _ => {}
        }
        answer
    }

    async fn exchange(&self, client: &kube::Client, request: Request<Body>) -> Result<Bytes, Failure> {
        let response = client.send(request).await.map_err(|error| self.transport(error))?;
        let status = response.status();
        let retry_after = retry_after(response.headers());
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        match body {
            Ok(body) if status.is_success() => Ok(body.to_bytes()),
            Ok(body) => Err(Failure::Refused(Refusal::new(status.as_u16(), retry_after, &body.to_bytes()))),
            // The status is here already, and an error's says enough.
            Err(_) if !status.is_success() => {
                Err(Failure::Refused(Refusal::new(status.as_u16(), retry_after, b"")))
            }
            Err(error) => Err(Failure::Silence(self.unavailable(format!("the answer was cut: {error}")))),
        }
    }

    /// Of hyper's errors only those of connecting say for certain that nothing was sent.
    fn transport(&self, error: kube::Error) -> Failure {
        let text = chain(&error);
        let kube::Error::Service(cause) = &error else {
            return Failure::Silence(self.unavailable(text).with_source(error));
        };
        let connecting = cause
            .downcast_ref::<hyper_util::client::legacy::Error>()
            .is_some_and(hyper_util::client::legacy::Error::is_connect);
        if !connecting {
            return Failure::Silence(self.unavailable(text).with_source(error));
        }
        if let Some(fault) = certificate_fault(&**cause) {
            let origin = self.connection.origin();
            let what = format!(
                "the API server's certificate is not trusted: {fault}; see the certificate-authority of the {origin}"
            );
            return Failure::NotSent(Error::config(self.subject(), what).with_source(error));
        }
        Failure::NotSent(self.unavailable(text).with_source(error))
    }

    fn unavailable(&self, what: String) -> Error {
        let (address, origin) = (self.connection.address(), self.connection.origin());
        Error::new(
            ErrorKind::Unavailable,
            self.subject(),
            format!("can't reach the API server {address} (from the {origin}): {what}"),
        )
    }

    /// A try that ran out of its time. Whether the call did is the caller's to say.
    fn late(&self, what: &str) -> Error {
        let address = self.connection.address();
        Error::new(ErrorKind::Deadline, self.subject(), format!("the API server {address}: {what}"))
    }

    fn defect(&self, error: &dyn std::fmt::Display) -> Error {
        Error::new(ErrorKind::Internal, self.subject(), format!("can't build the request: {error}"))
    }
}

/// The TLS error under a connect error, if it is about the server's
/// certificate. An `io::Error` hides the error it wraps from `source`.
fn certificate_fault<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a rustls::CertificateError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(fault)) = error.downcast_ref() {
            return Some(fault);
        }
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

fn query(run: Run) -> String {
    let dry = if run == Run::Dry { "&dryRun=All" } else { "" };
    format!("?fieldManager={FIELD_MANAGER}{dry}")
}

/// Seconds only: the API server sends no dates.
fn retry_after(headers: &http::HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    // serde_json's message can quote the text; a place can't.
    serde_json::from_slice(body).map_err(|error| {
        broken(format!("not the expected JSON (line {}, column {})", error.line(), error.column()))
    })
}

fn broken(what: String) -> Failure {
    Failure::Fatal(Error::new(
        ErrorKind::Unavailable,
        "API server",
        format!(
            "it sent an answer that can't be used: {what}; is this the address of a Kubernetes API server?"
        ),
    ))
}

/// The answer to a write. One that can't be used is as good as none: the write
/// may have been applied.
fn written(body: &[u8]) -> Result<Version, Failure> {
    version_of(body).map_err(|failure| match failure {
        Failure::Fatal(error) => Failure::Silence(error),
        failure => failure,
    })
}

fn version_of(body: &[u8]) -> Result<Version, Failure> {
    parse::<Head>(body)?.metadata.version()
}

#[derive(Deserialize)]
struct Head {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    uid: String,
    #[serde(default)]
    resource_version: String,
}

impl Metadata {
    fn version(self) -> Result<Version, Failure> {
        match Revision::new(&self.resource_version) {
            Some(revision) => Ok(Version { uid: self.uid, revision }),
            None => Err(broken("no resourceVersion".into())),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    metadata: Metadata,
    #[serde(default)]
    data: Option<BTreeMap<String, String>>,
    #[serde(default)]
    binary_data: Option<BTreeMap<String, String>>,
}

impl Wire {
    fn snapshot(self) -> Result<Snapshot, Failure> {
        let mut entries = BTreeMap::new();
        for (key, text) in self.data.unwrap_or_default() {
            let value = Value(Bytes::from(text.into_bytes()));
            entries.insert(key, Entry { value, side: Side::Text });
        }
        for (key, text) in self.binary_data.unwrap_or_default() {
            let bytes =
                STANDARD.decode(text).map_err(|_| broken(format!("binaryData[{key}] is not base64")))?;
            entries.insert(key, Entry { value: Value(Bytes::from(bytes)), side: Side::Binary });
        }
        Ok(Snapshot::new(self.metadata.version()?, entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_maps_become_one() {
        let body = br#"{"metadata":{"uid":"u","resourceVersion":"7"},"data":{"t":"text"},"binaryData":{"b":"/w=="}}"#;
        let snapshot = parse::<Wire>(body).unwrap().snapshot().unwrap();
        assert_eq!(snapshot.get("t").map(|value| value.to_vec()), Some(b"text".to_vec()));
        assert_eq!(snapshot.get("b").map(|value| value.to_vec()), Some(vec![0xff]));
        assert_eq!(snapshot.revision().map(Revision::as_str), Some("7"));
    }

    #[test]
    fn an_answer_without_a_revision_is_not_taken() {
        assert!(version_of(br#"{"metadata":{}}"#).is_err());
        assert!(version_of(br#"{"metadata":{"resourceVersion":"0"}}"#).is_err());
        assert!(version_of(b"<html>").is_err());
    }
}
