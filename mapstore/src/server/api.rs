//! The requests mapstore sends, one function each, and nothing about when to
//! send them. One request is one try: what to try again is [`crate::server::retry`]'s,
//! what an answer means for a write [`crate::write::outcome`]'s business.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Limited};
use hyper_util::client::legacy::connect::capture_connection;
use kube::client::Body;
use serde_json::{Value as Json, json};

use crate::error::{Error, ErrorKind};
use crate::host::deadline::Try;
use crate::host::resources;
use crate::model::{Snapshot, Version};
use crate::server::connection::{Connection, Session, chain};
use crate::server::failure::Failure;
use crate::server::lines::{Lines, TooLong};
use crate::server::recent::Recent;
use crate::server::status::{Asked, Refusal};
use crate::server::tls::{self, Fault};
use crate::server::wire::{self, FIELD_MANAGER, Listed, Look, State};

const OBJECT: &str = "application/json";
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const USER_AGENT: &str = concat!("mapstore/", env!("CARGO_PKG_VERSION"));

/// More than any ConfigMap in JSON: 1 MiB of values can be 6 MiB of escaped text.
const MAX_ANSWER: usize = 16 << 20;

/// More than any ConfigMap's metadata: annotations have 256 KiB, managedFields a few hundred.
const MAX_METADATA: usize = 4 << 20;

/// The most of a trace that is read: as much as one or a few large maps.
const MAX_TRACE: usize = 64 << 20;

/// The requests for one ConfigMap.
pub(crate) struct Api {
    connection: Arc<Connection>,
    recent: Recent,
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
    pub fn new(connection: Arc<Connection>, namespace: String, name: String) -> Self {
        Api { connection, recent: Recent::default(), namespace, name }
    }

    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    pub fn subject(&self) -> String {
        format!("configmap {}/{}", self.namespace, self.name)
    }

    /// Which version there is, and who made it; metadata only. `None`: no such map.
    pub async fn look(&self, at: Try) -> Result<Option<Look>, Failure> {
        let answer = self.ask(at, Method::GET, &self.path(), METADATA, None).await;
        self.found(answer)?.map(|body| wire::look(&body)).transpose()
    }

    /// The whole map.
    pub async fn read(&self, at: Try) -> Result<Snapshot, Failure> {
        let answer = self.ask(at, Method::GET, &self.path(), OBJECT, None).await;
        self.found(answer)?.map_or(Ok(Snapshot::missing()), |body| wire::snapshot(&body))
    }

    /// The whole object, what mapstore doesn't know of included.
    pub async fn read_object(&self, at: Try) -> Result<Option<Object>, Failure> {
        let answer = self.ask(at, Method::GET, &self.path(), OBJECT, None).await;
        let Some(body) = self.found(answer)? else { return Ok(None) };
        Ok(Some(Object { snapshot: wire::snapshot(&body)?, json: wire::object(&body)? }))
    }

    /// The map by a LIST, which tells its own revision too: as it is now, or
    /// exactly as it was at the revision `at_revision` (etcd keeps old ones for five
    /// minutes and more; afterwards the answer is 410). `whole`: with the map, not
    /// its metadata only. Kubernetes: `resourceVersionMatch` in
    /// <https://kubernetes.io/docs/reference/using-api/api-concepts/#semantics-for-get-and-list>.
    pub async fn list(&self, at: Try, at_revision: Option<u64>, whole: bool) -> Result<Listed, Failure> {
        let exact = at_revision
            .map(|revision| format!("&resourceVersion={revision}&resourceVersionMatch=Exact"))
            .unwrap_or_default();
        let path = format!("{}?fieldSelector=metadata.name%3D{}{exact}", self.collection(), self.name);
        let accept = if whole { OBJECT } else { METADATA_LIST };
        wire::listed(&self.ask(at, Method::GET, &path, accept, None).await?)
    }

    /// What happened to the map after the revision `from`, event by event,
    /// until `judge` has seen enough. `None`: the server has no more to tell within
    /// a second. `whole`: with the map, not its metadata only.
    pub async fn trace<T>(
        &self,
        at: Try,
        from: u64,
        whole: bool,
        mut judge: impl FnMut(State) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        let path = format!(
            "{}?watch=true&fieldSelector=metadata.name%3D{}&resourceVersion={from}&timeoutSeconds=1",
            self.collection(),
            self.name
        );
        let accept = if whole { OBJECT } else { METADATA };
        let follow = async |response: Response<Body>| -> Result<Option<T>, Failure> {
            let mut body = Limited::new(response.into_body(), MAX_TRACE);
            let mut lines = Lines::up_to(if whole { MAX_ANSWER } else { MAX_METADATA });
            while let Some(frame) = body.frame().await {
                let Ok(frame) = frame else { return Ok(None) };
                lines.push(frame.data_ref().map_or(&[], |data| data));
                while let Some(line) = lines.next().map_err(|TooLong| self.endless())? {
                    if let Some(verdict) = judge(wire::event(&line)?) {
                        return Ok(Some(verdict));
                    }
                }
            }
            Ok(None)
        };
        self.send(at, Method::GET, &path, accept, None, follow).await
    }

    /// A strategic merge patch; answers with the whole map as it is then. For small ones.
    pub async fn patch_and_read(&self, at: Try, patch: &Json) -> Result<Snapshot, Failure> {
        let path = format!("{}{}", self.path(), query(Run::Real));
        let body = Some((STRATEGIC, patch.to_string()));
        wire::stored(&self.ask(at, Method::PATCH, &path, OBJECT, body).await?)
    }

    /// A strategic merge patch; answers with the new version.
    pub async fn patch(&self, at: Try, patch: &Json) -> Result<Version, Failure> {
        wire::written(&self.write(at, Write::Patch, patch, Run::Real).await?)
    }

    /// Replaces the whole object, which carries the revision it was read at.
    pub async fn replace(&self, at: Try, object: &Json) -> Result<Version, Failure> {
        wire::written(&self.write(at, Write::Replace, object, Run::Real).await?)
    }

    /// Creates the map, empty: sent twice it does no harm.
    pub async fn create(&self, at: Try) -> Result<Version, Failure> {
        wire::written(&self.write(at, Write::Create, &self.bare_object(), Run::Real).await?)
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
        self.ask(at, method, &path, METADATA, Some((content_type, body.to_string()))).await
    }

    pub fn bare_object(&self) -> Json {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": self.name, "namespace": self.namespace}})
    }

    /// A failure as the caller is to see it.
    pub fn error(&self, failure: Failure, verb: &str) -> Error {
        self.error_of(&failure, verb)
    }

    pub fn error_of(&self, failure: &Failure, verb: &str) -> Error {
        match failure {
            Failure::NotSent(error) | Failure::Silence(error) | Failure::Fatal(error) => error.clone(),
            Failure::Refused(refusal) => refusal.to_error(Asked {
                verb,
                namespace: &self.namespace,
                name: &self.name,
                origin: self.connection.origin(),
                address: &self.connection.address(),
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

    /// A request whose answer is taken as a whole.
    async fn ask(
        &self,
        at: Try,
        method: Method,
        path: &str,
        accept: &str,
        body: Option<(&str, String)>,
    ) -> Result<Bytes, Failure> {
        let collect = async |response: Response<Body>| {
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            let cut = |error| Failure::Silence(self.unavailable(format!("the answer was cut: {error}")));
            body.map(|body| body.to_bytes()).map_err(cut)
        };
        self.send(at, method, path, accept, body, collect).await
    }

    /// Sends one request; `take` is given the response if it is a success.
    async fn send<T>(
        &self,
        at: Try,
        method: Method,
        path: &str,
        accept: &str,
        body: Option<(&str, String)>,
        take: impl AsyncFnOnce(Response<Body>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let session = self.session(at).await?;
        let mut request = self.request(&session, &method, path, accept, body)?;
        let connection = capture_connection(&mut request);
        let exchange = self.exchange(&session.client, request, take);
        let mut answer = match tokio::time::timeout_at(at.end().into(), exchange).await {
            Ok(answer) => answer,
            // A name look-up or a handshake was never over: there was nothing to send the request
            // on.
            Err(_) if connection.connection_metadata().is_none() => {
                Err(Failure::NotSent(self.late("no connection in time")))
            }
            Err(_) => Err(Failure::Silence(self.late("no answer in time"))),
        };
        self.take_note(&session, verb(&method, path), &mut answer).await;
        answer
    }

    async fn session(&self, at: Try) -> Result<Session, Failure> {
        // A plugin has the same deadline and says more: the plugin is heard first.
        let late = at.deadline + Duration::from_millis(20);
        match tokio::time::timeout_at(late.into(), self.connection.session(at.deadline)).await {
            Ok(session) => session.map_err(Failure::Fatal),
            Err(_) => Err(Failure::NotSent(self.late("no credentials in time"))),
        }
    }

    fn request(
        &self,
        session: &Session,
        method: &Method,
        path: &str,
        accept: &str,
        body: Option<(&str, String)>,
    ) -> Result<Request<Body>, Failure> {
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
        request.body(body).map_err(|error| Failure::Fatal(self.defect(&error)))
    }

    /// What an answer says of the connection, the credentials and the rights.
    async fn take_note<T>(&self, session: &Session, verb: &'static str, answer: &mut Result<T, Failure>) {
        match answer {
            Ok(_) => self.recent.fine(verb, Instant::now()),
            Err(Failure::Refused(refusal)) if refusal.not_authorized() => {
                refusal.unsettled = self.recent.refused(verb, Instant::now());
            }
            Err(Failure::NotSent(_) | Failure::Silence(_)) => {
                self.recent.trouble(Instant::now());
                self.connection.discard_client(session).await;
            }
            // Another server may answer, but not on this connection.
            Err(Failure::Refused(refusal)) if refusal.leaving || refusal.asks_to_wait() => {
                self.recent.trouble(Instant::now());
                self.connection.discard_client(session).await;
            }
            Err(Failure::Refused(refusal)) if refusal.code == 401 => {
                self.connection.discard_credential(session).await;
            }
            _ => {}
        }
    }

    async fn exchange<T>(
        &self,
        client: &kube::Client,
        request: Request<Body>,
        take: impl AsyncFnOnce(Response<Body>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let response = client.send(request).await.map_err(|error| self.transport(error))?;
        let status = response.status();
        if status.is_success() {
            return take(response).await;
        }
        let retry_after = retry_after(response.headers());
        let closes = closes(response.headers());
        // An answer that is cut has told its status all the same, but perhaps not its reason.
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let refusal = match body {
            Ok(body) => Refusal::new(status.as_u16(), retry_after, &body.to_bytes()),
            Err(_) => Refusal::new(status.as_u16(), retry_after, b"").cut_short(),
        };
        Err(Failure::Refused(refusal.on_a_connection(closes)))
    }

    /// Of hyper's errors only those of connecting say for certain that nothing was sent.
    fn transport(&self, error: kube::Error) -> Failure {
        let mut text = chain(&error);
        if let Some(limit) = resources::no_descriptor(&error) {
            text = format!("{text}; {limit}");
        }
        let kube::Error::Service(cause) = &error else {
            return Failure::Silence(self.unavailable(text).with_source(error));
        };
        if let Some(fault) = tls::fault(&**cause) {
            return Failure::NotSent(self.untrusted(fault).with_source(error));
        }
        let connecting = cause
            .downcast_ref::<hyper_util::client::legacy::Error>()
            .is_some_and(hyper_util::client::legacy::Error::is_connect);
        if !connecting {
            return Failure::Silence(self.unavailable(text).with_source(error));
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

    /// A watch that sends a line no API server does.
    fn endless(&self) -> Failure {
        let what = format!("what answers at {} sends an event of no end", self.connection.address());
        Failure::Fatal(Error::new(ErrorKind::Unavailable, self.subject(), what))
    }

    /// The two sides didn't get as far as a request: one of them doesn't take the other's certificate.
    fn untrusted(&self, fault: Fault) -> Error {
        let (address, origin) = (self.connection.address(), self.connection.origin());
        match fault {
            Fault::Server(why) => Error::config(
                self.subject(),
                format!(
                    "the certificate of the API server {address} is not trusted: {why}; see the \
                     certificate-authority of the {origin}"
                ),
            ),
            Fault::Proxy(why) => Error::config(
                self.subject(),
                format!(
                    "the certificate of the https proxy before {address} is not trusted by the authorities of this \
                     system: {why}"
                ),
            ),
            Fault::NothingInCommon => Error::config(
                self.subject(),
                format!(
                    "the API server {address} and mapstore have no version, cipher or signature algorithm of TLS in \
                     common, or the server misses a client certificate"
                ),
            ),
            Fault::Client(alert) => Error::new(
                ErrorKind::Unauthorized,
                self.subject(),
                format!(
                    "the API server {address} refuses the client certificate of the {origin}, or misses one \
                     ({alert:?})"
                ),
            ),
        }
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

/// The right that a request needs, as RBAC names it.
fn verb(method: &Method, path: &str) -> &'static str {
    match *method {
        Method::PATCH => "patch",
        Method::PUT => "update",
        Method::POST => "create",
        _ if path.contains("?watch=") => "watch",
        _ if path.contains("?fieldSelector=") => "list",
        _ => "get",
    }
}

fn query(run: Run) -> String {
    let dry = if run == Run::Dry { "&dryRun=All" } else { "" };
    format!("?fieldManager={FIELD_MANAGER}{dry}")
}

/// Whether the server ends the connection.
fn closes(headers: &http::HeaderMap) -> bool {
    let all = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case("close"))
}

/// Seconds only: the API server sends no dates.
fn retry_after(headers: &http::HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
