//! `DevServer`: the server as a value. The server lives on a thread of its own and
//! ends when the value is dropped.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::api;
use crate::auth::{Rule, Subject, User};
use crate::state::State;
use crate::tls::{self, Tls};
use crate::{http, kubeconfig, random};
use crate::{names, namespaces};

/// Stack of the server's thread: JSON may nest 10,000 deep, and is read
/// recursively, in debug builds too.
pub(crate) const STACK: usize = 64 * 1024 * 1024;

/// How a [`DevServer`] starts.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    port: u16,
}

impl Builder {
    /// The port on 127.0.0.1; 0 (the default) takes any free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Starts the server. It answers as soon as this returns.
    ///
    /// # Errors
    /// If the port is taken, or the machine has no randomness or threads left.
    pub fn start(self) -> io::Result<DevServer> {
        let listener = listen(self.port)?;
        let address = listener.local_addr()?;
        let admin_token = random::token();
        let state = Arc::new(Mutex::new(State::new(&admin_token)));
        let mut server = DevServer { address, tls: tls::generate()?, admin_token, state, running: None };
        server.run(listener)?;
        Ok(server)
    }
}

fn listen(port: u16) -> io::Result<StdListener> {
    // Loopback only, always: everything here is open to whoever has the kubeconfig.
    let listener = StdListener::bind((Ipv4Addr::LOCALHOST, port))
        .map_err(|e| io::Error::new(e.kind(), format!("can't listen on 127.0.0.1:{port}: {e}")))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The runtime is made on the thread that it serves: it would leave something behind on the host's.
fn runtime(listener: StdListener) -> io::Result<(Runtime, TcpListener)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let guard = runtime.enter();
    let listener = TcpListener::from_std(listener)?;
    drop(guard);
    Ok((runtime, listener))
}

async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    state: Arc<Mutex<State>>,
    stopped: watch::Receiver<bool>,
) {
    http::serve(listener, acceptor, state, stopped).await;
    // Let the connections see the stop and close in order.
    let metrics = tokio::runtime::Handle::current().metrics();
    for _ in 0..100 {
        if metrics.num_alive_tasks() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How the thread's start went. A channel would do, but its wait makes the
/// host's thread a Rust one, which leak checkers see.
#[derive(Default)]
struct Started {
    outcome: Mutex<Option<io::Result<()>>>,
    there: Condvar,
}

impl Started {
    fn put(&self, outcome: io::Result<()>) {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        self.there.notify_all();
    }

    fn wait(&self) -> io::Result<()> {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match outcome.take() {
                Some(outcome) => return outcome,
                None => outcome = self.there.wait(outcome).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

struct Running {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

/// A loopback Kubernetes API server for ConfigMaps, in memory.
///
/// All methods may be called from any thread; none blocks on clients. What the
/// server holds is gone when it is dropped.
///
/// ```
/// use mapstore_dev::DevServer;
///
/// let server = DevServer::start()?;
/// server.create_namespace("demo");
/// assert!(server.url().starts_with("https://127.0.0.1:"));
/// assert!(server.kubeconfig().contains(server.admin_token()));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct DevServer {
    address: SocketAddr,
    tls: Tls,
    admin_token: String,
    state: Arc<Mutex<State>>,
    running: Option<Running>,
}

impl DevServer {
    /// Starts a server on any free port.
    ///
    /// # Errors
    /// As [`Builder::start`].
    pub fn start() -> io::Result<DevServer> {
        Self::builder().start()
    }

    /// Starts a server with settings.
    pub fn builder() -> Builder {
        Builder::default()
    }

    fn run(&mut self, listener: StdListener) -> io::Result<()> {
        let (stop, stopped) = watch::channel(false);
        let state = Arc::clone(&self.state);
        let acceptor = TlsAcceptor::from(Arc::clone(&self.tls.config));
        let started = Arc::new(Started::default());
        let report = Arc::clone(&started);
        let thread =
            std::thread::Builder::new().name("mapstore-dev".into()).stack_size(STACK).spawn(move || {
                block_signals();
                match runtime(listener) {
                    Ok((runtime, listener)) => {
                        report.put(Ok(()));
                        runtime.block_on(serve(listener, acceptor, state, stopped));
                    }
                    Err(e) => report.put(Err(e)),
                }
            })?;
        started.wait()?;
        self.running = Some(Running { stop, thread });
        Ok(())
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The certificate (PEM) that clients have to trust.
    pub fn ca_pem(&self) -> &str {
        &self.tls.ca_pem
    }

    /// The bearer token that may do everything.
    pub fn admin_token(&self) -> &str {
        &self.admin_token
    }

    /// The admin's kubeconfig (YAML), in namespace `default`.
    pub fn kubeconfig(&self) -> String {
        self.kubeconfig_in("default")
    }

    /// The admin's kubeconfig in another namespace.
    pub fn kubeconfig_in(&self, namespace: &str) -> String {
        let admin = User { name: "admin".into(), token: self.admin_token.clone() };
        self.kubeconfig_for(&admin, namespace)
    }

    /// A user's kubeconfig (YAML) with its namespace.
    pub fn kubeconfig_for(&self, user: &User, namespace: &str) -> String {
        kubeconfig::render(&self.url(), &self.tls.ca_pem, &user.name, &user.token, namespace)
    }

    /// Writes the admin's kubeconfig to a file only its owner can read (0600),
    /// replacing what is there.
    ///
    /// # Errors
    /// If the file can't be written; the message names it.
    pub fn write_kubeconfig(&self, path: impl AsRef<Path>) -> io::Result<()> {
        kubeconfig::write(path.as_ref(), &self.kubeconfig())
    }

    /// Writes the admin's kubeconfig with another namespace.
    ///
    /// # Errors
    /// If the file can't be written; the message names it.
    pub fn write_kubeconfig_in(&self, namespace: &str, path: impl AsRef<Path>) -> io::Result<()> {
        kubeconfig::write(path.as_ref(), &self.kubeconfig_in(namespace))
    }

    /// Writes a user's kubeconfig, like [`DevServer::write_kubeconfig`].
    ///
    /// # Errors
    /// If the file can't be written; the message names it.
    pub fn write_kubeconfig_for(
        &self,
        user: &User,
        namespace: &str,
        path: impl AsRef<Path>,
    ) -> io::Result<()> {
        kubeconfig::write(path.as_ref(), &self.kubeconfig_for(user, namespace))
    }

    /// Adds the service account `name` of a namespace with the rules of one
    /// Role there. Adding it again replaces the rules, for earlier tokens too,
    /// and gives another token.
    pub fn add_user(&self, name: &str, namespace: &str, rules: Vec<Rule>) -> User {
        let user = User { name: format!("system:serviceaccount:{namespace}:{name}"), token: random::token() };
        let mut state = api::lock(&self.state);
        for known in state.users.values_mut() {
            known.replace_rules(&user.name, &rules);
        }
        let subject = Subject::User { name: user.name.clone(), namespace: namespace.into(), rules };
        state.users.insert(user.token.clone(), subject);
        drop(state);
        user
    }

    /// Makes a user's token invalid: its next request is answered 401.
    pub fn revoke(&self, user: &User) {
        api::lock(&self.state).users.remove(&user.token);
    }

    /// Creates a namespace; one that is there is left alone. False if the name
    /// isn't one a namespace can have.
    pub fn create_namespace(&self, name: &str) -> bool {
        let valid = names::label(name).is_empty();
        if valid {
            api::lock(&self.state).create_namespace(name);
        }
        valid
    }

    /// Marks a namespace as terminating, for good: what it holds stays, new
    /// objects are refused. False if there is no such namespace.
    pub fn terminate_namespace(&self, name: &str) -> bool {
        namespaces::terminate(&mut api::lock(&self.state), name, true).is_ok()
    }

    /// Limits how many ConfigMaps a namespace may hold, as a ResourceQuota
    /// called `configmaps` would.
    pub fn set_quota(&self, namespace: &str, configmaps: u64) {
        api::lock(&self.state).quotas.insert(namespace.into(), configmaps);
    }

    /// Refuses ConfigMaps with this key in a namespace, as a
    /// ValidatingAdmissionPolicy called `forbidden-key-NAMESPACE` would.
    pub fn forbid_key(&self, namespace: &str, key: &str) {
        let forbidden = (namespace.to_string(), key.to_string());
        api::lock(&self.state).forbidden_keys.insert(forbidden);
    }

    /// Forgets how the ConfigMaps were before now, as etcd's compaction does: a
    /// LIST at an older revision is told 410. Watches aren't touched.
    pub fn compact(&self) {
        api::lock(&self.state).compact();
    }

    /// Stops answering: connections are closed, new ones refused. What it holds
    /// stays, and [`DevServer::resume`] goes on with it; but a watch from a
    /// revision before that is told 410, as after a restart of the real server.
    /// Does nothing if stopped.
    pub fn pause(&mut self) {
        if let Some(running) = self.running.take() {
            let _ = running.stop.send(true);
            let _ = running.thread.join();
            api::lock(&self.state).restarted();
        }
    }

    /// Listens again on the same port, with the same state, users and certificate.
    ///
    /// # Errors
    /// If the port has been taken meanwhile.
    pub fn resume(&mut self) -> io::Result<()> {
        if self.running.is_some() {
            return Ok(());
        }
        let listener = listen(self.address.port())?;
        self.run(listener)
    }

    /// Stops the server for good; dropping it does the same.
    pub fn stop(self) {}
}

impl Drop for DevServer {
    fn drop(&mut self) {
        self.pause();
    }
}

impl std::fmt::Debug for DevServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Shows neither tokens nor contents.
        f.debug_struct("DevServer").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The host's signals are the host's: none is handled on this thread, and a
/// peer that closes early can't kill a C program by SIGPIPE.
fn block_signals() {
    // SAFETY: the set is initialised by sigfillset before it is used, and a
    // thread may change its own mask at any time.
    unsafe {
        let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), std::ptr::null_mut());
    }
}
