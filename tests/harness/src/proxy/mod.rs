//! A proxy before a cluster that counts what goes through it and does to requests what rules say: for tests of writes
//! whose answer is lost, late or wrong, in any language.
//!
//! It ends TLS with a certificate of its own, speaks HTTP/1.1 to both sides, and passes bearer tokens and everything
//! else through. Clients use it by its [`kubeconfig`](Proxy::kubeconfig). What it does without a rule a client can't
//! tell from the server: where that refuses connections, the client's handshake fails; where it ends one, the
//! client's ends. Nothing is ever sent twice.

mod counts;
mod hit;
mod request;
mod rule;
mod serve;
mod tls;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

pub use counts::{Count, Counts, PathKind};
pub use hit::RuleHandle;
pub use rule::{Canned, Delivery, Hearing, Rule};

use crate::{Cluster, Error, Result, Scratch, Sections};
use hit::InForce;
use request::Request;
use wire::Wire;

/// A request that came, in the order of [`Proxy::log`].
#[derive(Clone, Debug, serde::Serialize)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub query: String,
    /// As JSON, if it is and isn't large.
    pub body: Value,
}

pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    ca_pem: String,
    kubeconfig: PathBuf,
    scratch: Scratch,
    runtime: Option<Runtime>,
}

struct Shared {
    /// Read again for each connection: the server's certificates may change.
    upstream: PathBuf,
    acceptor: Mutex<TlsAcceptor>,
    rules: Mutex<Vec<Arc<InForce>>>,
    counts: Mutex<Counts>,
    log: Mutex<Vec<Seen>>,
    /// A change ends all connections.
    cuts: watch::Sender<u64>,
    lottery: Mutex<Option<Lottery>>,
    /// Requests that the server is still to get although nobody waits for them.
    outstanding: AtomicUsize,
}

/// Draws what happens to a request for which there is no rule. It is told everything but the body.
pub type Lottery = Box<dyn FnMut(&Asked<'_>) -> Option<Rule> + Send>;

/// A request as a [`Lottery`] sees it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    /// The whole header; empty if there is none.
    pub authorization: &'a str,
}

impl Proxy {
    /// Before a cluster, with its administrator's credentials.
    pub fn start(cluster: &Cluster) -> Result<Proxy> {
        Proxy::before(cluster.kubeconfig())
    }

    /// Before the server of this kubeconfig, whose user must not need a client certificate: those can't be passed on.
    pub fn before(kubeconfig: &Path) -> Result<Proxy> {
        let failed = |error: &dyn std::fmt::Display| Error::failed("proxy", error);
        let (acceptor, ca_pem) = tls::own().map_err(|e| failed(&e))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("mapstore-proxy")
            .enable_all()
            .build()
            .map_err(|e| failed(&e))?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).map_err(|e| failed(&e))?;
        let address = listener.local_addr().map_err(|e| failed(&e))?;
        let shared = Arc::new(Shared {
            upstream: kubeconfig.to_owned(),
            acceptor: Mutex::new(acceptor),
            rules: Mutex::default(),
            counts: Mutex::default(),
            log: Mutex::default(),
            cuts: watch::Sender::new(0),
            lottery: Mutex::default(),
            outstanding: AtomicUsize::new(0),
        });
        runtime.spawn(accept(shared.clone(), listener));
        let scratch = Scratch::new("proxy")?;
        let mut proxy =
            Proxy { shared, address, ca_pem, kubeconfig: PathBuf::new(), scratch, runtime: Some(runtime) };
        proxy.kubeconfig = proxy.kubeconfig_like(kubeconfig)?;
        Ok(proxy)
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The kubeconfig it stands before, with the proxy in the server's place.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Another user's kubeconfig of the same cluster, with the proxy in the server's place.
    pub fn kubeconfig_like(&self, kubeconfig: &Path) -> Result<PathBuf> {
        let mut sections = Sections::read(kubeconfig)?;
        let certificates = ["client-certificate", "client-certificate-data"];
        if certificates.iter().any(|field| !sections.user[field].is_null()) {
            let why = "its user has a client certificate, which a proxy can't pass on";
            return Err(Error::NotRunnable(format!("{}: {why}", kubeconfig.display())));
        }
        let ca = STANDARD.encode(&self.ca_pem);
        sections.cluster = json!({"server": self.url(), "certificate-authority-data": ca});
        let name: String = kubeconfig.to_string_lossy().chars().filter(char::is_ascii_alphanumeric).collect();
        let name = &name[name.len().saturating_sub(200)..];
        self.scratch.write(&format!("kubeconfig-{name}"), sections.to_kubeconfig().to_string())
    }

    /// What went through since the start or the last reset.
    pub fn counts(&self) -> Counts {
        lock(&self.shared.counts).clone()
    }

    pub fn reset_counts(&self) {
        *lock(&self.shared.counts) = Counts::default();
    }

    /// The requests since the start or the last call, oldest first; of very many the first ones.
    pub fn take_log(&self) -> Vec<Seen> {
        std::mem::take(&mut *lock(&self.shared.log))
    }

    /// Puts a rule in force. Of several that match a request, the one made first holds.
    pub fn rule(&self, rule: Rule) -> RuleHandle {
        let rule = InForce::new(rule);
        lock(&self.shared.rules).push(rule.clone());
        RuleHandle { rule, runtime: self.runtime().handle().clone() }
    }

    /// Ends all rules. What they hold stays held until it is released.
    pub fn clear_rules(&self) {
        lock(&self.shared.rules).clear();
    }

    /// From now on each request without a rule is drawn for; `None` ends that.
    pub fn draw(&self, lottery: Option<Lottery>) {
        *lock(&self.shared.lottery) = lottery;
    }

    /// How many held requests the server is still to get although their clients have gone.
    pub fn outstanding(&self) -> usize {
        self.shared.outstanding.load(Ordering::SeqCst)
    }

    /// Shows a certificate of another authority, from the moment on when `announce` has been told of that (PEM).
    pub fn renew_certificate<E>(
        &self,
        announce: impl FnOnce(&str) -> std::result::Result<(), E>,
    ) -> Result<()>
    where
        E: std::fmt::Display,
    {
        let (acceptor, ca_pem) = tls::own().map_err(|e| Error::failed("proxy", e))?;
        announce(&ca_pem).map_err(|e| Error::failed("proxy", e))?;
        *lock(&self.shared.acceptor) = acceptor;
        Ok(())
    }

    /// The authority of its certificate at the start (PEM).
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Ends all connections, in the middle of whatever they do.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("there until dropped")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}

/// Enough for any test; a bench must not fill the memory.
const LOGGED: usize = 10_000;
const LOGGED_BODY: usize = 16 * 1024;

impl Shared {
    fn came(&self, request: &Request) {
        lock(&self.counts).request(request);
        let mut log = lock(&self.log);
        if log.len() < LOGGED {
            let small = request.body.len() <= LOGGED_BODY;
            let body = small.then(|| serde_json::from_slice(&request.body).ok()).flatten();
            log.push(Seen {
                method: request.method().to_owned(),
                path: request.path().to_owned(),
                query: request.query().to_owned(),
                body: body.unwrap_or_default(),
            });
        }
    }

    /// Before it is sent: whoever has an answer finds it counted.
    fn answered(&self, request: &Request, head: usize, body: usize) {
        lock(&self.counts).response(request, head, body);
    }

    fn rule_for(&self, request: &Request) -> Option<Arc<InForce>> {
        let ruled = lock(&self.rules).iter().find(|rule| rule.takes(request)).cloned();
        ruled.or_else(|| {
            let asked = Asked {
                method: request.method(),
                path: request.path(),
                query: request.query(),
                authorization: request.head.header("authorization").unwrap_or_default(),
            };
            lock(&self.lottery).as_mut().and_then(|draw| draw(&asked)).map(InForce::new)
        })
    }

    fn later(self: &Arc<Self>, request: Request, rule: Arc<InForce>) {
        self.outstanding.fetch_add(1, Ordering::SeqCst);
        let shared = self.clone();
        tokio::spawn(async move {
            serve::deliver(shared.clone(), request, rule).await;
            shared.outstanding.fetch_sub(1, Ordering::SeqCst);
        });
    }

    async fn connect(&self) -> io::Result<Wire<TlsStream<TcpStream>>> {
        let sections = Sections::read(&self.upstream).map_err(io::Error::other)?;
        let url = sections.cluster["server"].as_str().unwrap_or_default();
        let authority = url.trim_start_matches("https://").trim_end_matches('/');
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        let connector = tls::towards(&sections.cluster).map_err(io::Error::other)?;
        let stream = TcpStream::connect(authority).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        Ok(Wire::new(connector.connect(name, stream).await?))
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve::serve(shared.clone(), stream))),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
