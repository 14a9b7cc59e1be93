//! One connection to a cluster: the HTTP client and the credentials it sends.
//! All maps of a process that are reached in the same way as the same user
//! share one.
//!
//! Tokens and certificates rotate under a running store: token files are read
//! again every minute and after a 401, plugins are run again when their
//! credential expires or is refused (see [`crate::server::credentials`]), and the
//! client is built anew when its connections fail, when its certificate files
//! have changed, and after a 401 if a client certificate is in a file.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Mutex;

use crate::config::Cluster;
use crate::error::{Error, ErrorKind, Result};
use crate::host::blocking;
use crate::host::process::PerProcess;
use crate::server::connector;
use crate::server::credentials::{Credentials, SWAP, SWAP_PAUSE};
use crate::server::tls::{self, Identity};

/// How often it is looked whether certificate files have changed, and how long
/// that look may hold a request: the files may lie somewhere that hangs.
const LOOK: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_millis(100);

pub(crate) struct Connection {
    cluster: Cluster,
    credentials: Credentials,
    clients: Mutex<Clients>,
    /// How many maps that have stores use this connection.
    users: AtomicUsize,
}

#[derive(Default)]
struct Clients {
    made: Option<Made>,
    /// Counts clients, so that several failures of one discard it once.
    epoch: u64,
}

struct Made {
    client: kube::Client,
    /// The client certificate of a plugin.
    identity: Option<Identity>,
    files: Vec<Stamp>,
    looked: Instant,
}

/// What tells a file from the one that was there before.
type Stamp = Option<(SystemTime, u64, u64)>;

/// What one request is sent with.
pub(crate) struct Session {
    pub client: kube::Client,
    pub authorization: Option<http::HeaderValue>,
    epoch: u64,
    credential: u64,
}

/// The connections of this process.
static CONNECTIONS: PerProcess<StdMutex<HashMap<String, Weak<Connection>>>> = PerProcess::new();

impl Connection {
    /// The connection of this process for `cluster`, made if there is none.
    pub fn to(cluster: Cluster) -> Arc<Connection> {
        let mut connections = CONNECTIONS.get().lock().unwrap_or_else(PoisonError::into_inner);
        connections.retain(|_, connection| connection.strong_count() > 0);
        let identity = cluster.identity();
        if let Some(connection) = connections.get(&identity).and_then(Weak::upgrade) {
            return connection;
        }
        let credentials = Credentials::new(cluster.auth.clone(), cluster.origin.clone());
        let connection = Arc::new(Connection {
            cluster,
            credentials,
            clients: Mutex::default(),
            users: AtomicUsize::new(0),
        });
        connections.insert(identity, Arc::downgrade(&connection));
        connection
    }

    /// Counts one more map that uses the connection, until the map [leaves](Self::leave).
    pub fn enter(&self) {
        self.users.fetch_add(1, Ordering::SeqCst);
    }

    /// Counts one map less. The last one ends the connections, and requests under way with them.
    pub async fn leave(&self) {
        if self.users.fetch_sub(1, Ordering::SeqCst) == 1 {
            let mut clients = self.clients.lock().await;
            if self.users.load(Ordering::SeqCst) == 0 {
                clients.discard();
            }
        }
    }

    /// What can be said of certificates and keys before there is a connection. Blocks.
    pub fn check(cluster: &Cluster) -> Result<()> {
        tls::to_server(cluster, None).map(drop)
    }

    pub fn origin(&self) -> &str {
        &self.cluster.origin
    }

    /// Where the API server is, without anything that could be a credential.
    pub fn address(&self) -> String {
        let url = &self.cluster.kube.cluster_url;
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let path = url.path().trim_end_matches('/');
        format!("{}://{}{port}{path}", url.scheme_str().unwrap_or("https"), url.host().unwrap_or_default())
    }

    /// Whether other credentials can be had than those just refused.
    pub fn can_renew(&self) -> bool {
        self.credentials.can_renew() || tls::has_client_files(&self.cluster)
    }

    pub async fn session(&self, deadline: Instant) -> Result<Session> {
        let credential = self.credentials.get(deadline).await?;
        let mut clients = self.clients.lock().await;
        if clients.made.as_ref().is_some_and(|made| made.identity != credential.identity) {
            clients.discard();
        }
        if let Some(made) = &mut clients.made {
            if self.has_changed(made).await
                && let Ok(anew) = self.connect(credential.identity.clone()).await
            {
                // Half-replaced files (a certificate and another one's key) are looked at again.
                clients.discard();
                clients.made = Some(anew);
            }
        } else {
            clients.made = Some(self.connect_patiently(&credential.identity).await?);
        }
        let Some(made) = &clients.made else {
            return Err(Error::new(ErrorKind::Internal, "connection", "there is no client"));
        };
        Ok(Session {
            client: made.client.clone(),
            authorization: credential.authorization,
            epoch: clients.epoch,
            credential: credential.number,
        })
    }

    /// The client's connections are dead or can't be made: start anew. Requests
    /// that others have under way on it go on.
    pub async fn discard_client(&self, session: &Session) {
        let mut clients = self.clients.lock().await;
        if clients.epoch == session.epoch {
            clients.discard();
        }
    }

    /// The credentials were refused: the next request gets others, from files too.
    pub async fn discard_credential(&self, session: &Session) {
        self.credentials.refused(session.credential);
        if tls::has_client_files(&self.cluster) {
            self.discard_client(session).await;
        }
    }

    /// Whether the files of a client are others by now; looked at from time to time.
    async fn has_changed(&self, made: &mut Made) -> bool {
        if made.looked.elapsed() < LOOK || made.files.is_empty() {
            return false;
        }
        made.looked = Instant::now();
        let files = tls::files(&self.cluster);
        let now = tokio::time::timeout(PATIENCE, blocking::run(move || stamps(&files))).await;
        matches!(now, Ok(Ok(now)) if now != made.files)
    }

    /// Files that are being replaced may not fit together for a moment.
    async fn connect_patiently(&self, identity: &Option<Identity>) -> Result<Made> {
        let until = Instant::now() + SWAP;
        loop {
            let made = self.connect(identity.clone()).await;
            if made.is_ok() || Instant::now() >= until || tls::files(&self.cluster).is_empty() {
                return made;
            }
            tokio::time::sleep(SWAP_PAUSE).await;
        }
    }

    /// Reads the certificates as they are now.
    async fn connect(&self, identity: Option<Identity>) -> Result<Made> {
        let cluster = self.cluster.clone();
        let own = identity.clone();
        let (files, to_server, to_proxy) = blocking::run(move || {
            // Taken before the files are read: a change in between is found by the next look.
            let files = stamps(&tls::files(&cluster));
            let through_https =
                cluster.kube.proxy_url.as_ref().is_some_and(|proxy| proxy.scheme_str() == Some("https"));
            let to_proxy = through_https.then(|| tls::to_proxy(&cluster.system_roots)).transpose()?;
            Ok((files, tls::to_server(&cluster, own.as_ref())?, to_proxy))
        })
        .await??;
        let client = connector::client(&self.cluster.kube, to_server, to_proxy, &self.cluster.origin)?;
        Ok(Made { client, identity, files, looked: Instant::now() })
    }
}

impl Clients {
    fn discard(&mut self) {
        self.made = None;
        self.epoch += 1;
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let stamp = |file: &PathBuf| {
        let about = std::fs::metadata(file).ok()?;
        Some((about.modified().ok()?, about.len(), about.ino()))
    };
    files.iter().map(stamp).collect()
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
