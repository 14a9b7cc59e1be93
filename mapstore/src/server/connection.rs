//! One connection to a cluster: the HTTP client and the credentials it sends.
//!
//! Tokens and certificates rotate under a running store: files are read again
//! every minute and after a 401, plugins are run again when their credential
//! expires or is refused, and a client that fails to connect is built anew with
//! the certificates as they are then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use k8s_openapi::jiff::Timestamp;
use kube::client::ClientBuilder;
use tokio::sync::Mutex;

use crate::config::exec::ExecCredential;
use crate::config::{Auth, Cluster, read_token};
use crate::error::{Error, ErrorKind, Result};

/// How long a token file is trusted; the kubelet renews tokens well before they expire.
const REREAD: Duration = Duration::from_secs(60);

/// A plugin's credential is renewed this long before it expires.
const EARLY: Duration = Duration::from_secs(10);

pub(crate) struct Connection {
    cluster: Cluster,
    live: Mutex<Live>,
}

#[derive(Default)]
struct Live {
    client: Option<kube::Client>,
    credential: Option<Credential>,
    /// Counts clients and credentials, so that several failures of one discard it once.
    epoch: u64,
}

#[derive(Clone)]
struct Credential {
    authorization: Option<HeaderValue>,
    identity: Option<(String, String)>,
    /// `None`: for good.
    fresh_until: Option<Instant>,
}

/// What one request is sent with.
pub(crate) struct Session {
    pub client: kube::Client,
    pub authorization: Option<HeaderValue>,
    pub epoch: u64,
}

impl Connection {
    pub fn new(cluster: Cluster) -> Self {
        Connection { cluster, live: Mutex::default() }
    }

    pub fn origin(&self) -> &str {
        &self.cluster.origin
    }

    /// Where the API server is, without anything that could be a credential.
    pub fn address(&self) -> String {
        let url = &self.cluster.kube.cluster_url;
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{}{port}", url.scheme_str().unwrap_or("https"), url.host().unwrap_or_default())
    }

    /// Whether other credentials can be had than those just refused.
    pub fn can_renew(&self) -> bool {
        matches!(self.cluster.auth, Auth::TokenFile(_) | Auth::Exec(_))
    }

    pub async fn session(&self, deadline: Instant) -> Result<Session> {
        let mut live = self.live.lock().await;
        if live.credential.as_ref().is_none_or(Credential::is_stale) {
            self.renew(&mut live, deadline).await?;
        }
        if live.client.is_none() {
            let identity = live.credential.as_ref().and_then(|credential| credential.identity.clone());
            live.client = Some(self.connect(identity).await?);
        }
        match &*live {
            Live { client: Some(client), credential: Some(credential), epoch } => Ok(Session {
                client: client.clone(),
                authorization: credential.authorization.clone(),
                epoch: *epoch,
            }),
            _ => Err(Error::new(ErrorKind::Internal, "connection", "neither client nor credentials")),
        }
    }

    /// The client's connections are dead or can't be made: start anew.
    pub async fn discard_client(&self, epoch: u64) {
        let mut live = self.live.lock().await;
        if live.epoch == epoch {
            live.client = None;
            live.epoch += 1;
        }
    }

    /// Ends the connections; requests under way end with them.
    pub async fn close(&self) {
        let mut live = self.live.lock().await;
        live.client = None;
        live.epoch += 1;
    }

    /// The credentials were refused.
    pub async fn discard_credential(&self, epoch: u64) {
        let mut live = self.live.lock().await;
        if live.epoch == epoch {
            live.credential = None;
            live.epoch += 1;
        }
    }

    async fn renew(&self, live: &mut Live, deadline: Instant) -> Result<()> {
        let renewed = match (self.obtain(deadline).await, &live.credential) {
            (Ok(renewed), _) => renewed,
            // A token file that can't be read right now: the old one may still do.
            (Err(_), Some(old)) if matches!(self.cluster.auth, Auth::TokenFile(_)) => {
                Credential { fresh_until: Some(Instant::now() + EARLY), ..old.clone() }
            }
            (Err(error), _) => return Err(error),
        };
        let same_identity = live.credential.as_ref().is_some_and(|old| old.identity == renewed.identity);
        if !same_identity {
            live.client = None;
        }
        live.credential = Some(renewed);
        live.epoch += 1;
        Ok(())
    }

    async fn obtain(&self, deadline: Instant) -> Result<Credential> {
        let origin = &self.cluster.origin;
        match &self.cluster.auth {
            Auth::None => Ok(Credential::for_good(None)),
            Auth::Token(token) => Ok(Credential::for_good(Some(bearer(token, origin)?))),
            Auth::Basic { user, password } => {
                let text = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
                Ok(Credential::for_good(Some(header(&text, origin)?)))
            }
            Auth::TokenFile(file) => {
                let abandoned = Abandoned::default();
                let (path, flag) = (file.clone(), abandoned.0.clone());
                let over = move || Instant::now() >= deadline || flag.load(Ordering::Relaxed);
                let token = blocking(move || read_token(&path, over)).await??;
                let authorization = Some(bearer(&token, &format!("token file {file:?}"))?);
                Ok(Credential {
                    fresh_until: Some(Instant::now() + REREAD),
                    ..Credential::for_good(authorization)
                })
            }
            Auth::Exec(plugin) => {
                let abandoned = Abandoned::default();
                let (plugin, flag) = (plugin.clone(), abandoned.0.clone());
                let answer =
                    blocking(move || plugin.run(deadline, || flag.load(Ordering::Relaxed))).await??;
                Credential::from_plugin(answer, origin)
            }
        }
    }

    /// Reads the certificates as they are now.
    async fn connect(&self, identity: Option<(String, String)>) -> Result<kube::Client> {
        let mut config = self.cluster.kube.clone();
        if let Some((certificate, key)) = identity {
            config.auth_info.client_certificate_data = Some(STANDARD.encode(certificate));
            config.auth_info.client_key_data = Some(STANDARD.encode(key).into());
        }
        let origin = self.cluster.origin.clone();
        blocking(move || {
            // A provider that the host installed is as good as ours.
            let _ = rustls::crypto::ring::default_provider().install_default();
            match ClientBuilder::try_from(config) {
                Ok(builder) => Ok(builder.build()),
                Err(error) => Err(Error::config(origin, format!("can't set up TLS: {}", chain(&error)))),
            }
        })
        .await?
    }
}

impl Credential {
    fn for_good(authorization: Option<HeaderValue>) -> Self {
        Credential { authorization, identity: None, fresh_until: None }
    }

    fn from_plugin(answer: ExecCredential, origin: &str) -> Result<Self> {
        let authorization = answer.token.map(|token| bearer(&token, origin)).transpose()?;
        let fresh_until = answer.expires.map(|expires| {
            let left = expires.duration_since(Timestamp::now()).unsigned_abs();
            let left = if expires > Timestamp::now() { left } else { Duration::ZERO };
            Instant::now() + left.saturating_sub(EARLY)
        });
        Ok(Credential { authorization, identity: answer.identity, fresh_until })
    }

    fn is_stale(&self) -> bool {
        self.fresh_until.is_some_and(|until| Instant::now() >= until)
    }
}

/// Tells the thread of a plugin or a file that the call it works for is over.
#[derive(Default)]
struct Abandoned(Arc<AtomicBool>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Files and processes are never waited for on the I/O thread.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        Error::new(ErrorKind::Internal, "runtime", format!("a blocking task ended early: {error}"))
    })
}

fn bearer(token: &str, origin: &str) -> Result<HeaderValue> {
    header(&format!("Bearer {token}"), origin)
}

fn header(text: &str, origin: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        Error::config(origin, "the credential has characters that an HTTP header can't carry")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// An error with all its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = next.source();
    }
    text
}
