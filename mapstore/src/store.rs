//! The store: every public blocking operation, a few lines each.

use std::future::Future;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::api::Api;
use crate::batch::{Op, Written};
use crate::cache::{CacheCell, Snapshot, Usage, Value};
use crate::call::{Call, check_timeout};
use crate::config::{self, Environment};
use crate::connection::{Connection, blocking};
use crate::entry::{Key, check_name, check_value};
use crate::error::Result;
use crate::limits::{Closing, Limits, Progress, Stage};
use crate::options::{Cache, Options};
use crate::process;
use crate::reader::Reader;
use crate::retry::Retry;
use crate::runtime::Runtime;
use crate::verify;
use crate::writer::Writer;

/// A key/value store over one ConfigMap.
///
/// Clones are handles to the same store; all methods may be called from any
/// number of threads. Every method blocks until it has its answer, its
/// deadline passes or its token is cancelled (in [`Cache::Exclusive`] reads
/// come from memory and don't block). Not to be called from async code.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    call: Call,
}

struct Inner {
    /// Not dropped in a forked child: see [`Drop`].
    parts: ManuallyDrop<Parts>,
    generation: u64,
}

struct Parts {
    runtime: Arc<Runtime>,
    shared: Arc<Shared>,
    closing: Closing,
    timeout: Duration,
}

/// What the tasks on the I/O thread use; never the runtime itself, which must
/// not be stopped by one of its own tasks.
struct Shared {
    api: Arc<Api>,
    reader: Reader,
    writer: Writer,
    cache: Option<Arc<CacheCell>>,
}

/// [`Options::verify_connection`] for the map `name`, all else by default.
pub fn verify_connection(name: &str) -> Result<()> {
    Options::new(name).verify_connection(&Call::new())
}

impl Options {
    /// Opens the store. [`Cache::None`] sends nothing; [`Cache::Exclusive`]
    /// reads the map once.
    pub fn open(self) -> Result<Store> {
        self.open_with(&Call::new())
    }

    /// [`open`](Self::open) with its own deadline and cancel token.
    pub fn open_with(self, call: &Call) -> Result<Store> {
        Store::open_options(self, call)
    }

    /// Whether a store opened like this could work: reaches the cluster and
    /// has the rights to read, write and (for a missing map) create it.
    /// Changes nothing.
    pub fn verify_connection(mut self, call: &Call) -> Result<()> {
        self.cache = Cache::None;
        let store = self.open_with(call)?;
        store.with(call).verify_connection()
    }
}

impl Store {
    /// Opens the store over the ConfigMap `name`, all else by default: see [`Options`].
    pub fn open(name: &str) -> Result<Store> {
        Options::new(name).open()
    }

    fn open_options(options: Options, call: &Call) -> Result<Store> {
        check_name(&options.name)?;
        let timeout = check_timeout(options.timeout)?;
        let limits = limits(call, timeout, format!("store {}", options.name))?;
        let runtime = Runtime::get()?;
        let closing = Closing::default();
        let env = Environment::capture();
        let cached = options.cache != Cache::None;
        let bounds = limits.clone();
        let over = move || Instant::now() >= bounds.deadline || bounds.is_cancelled();
        let shared = runtime.run(&limits, &closing, async move {
            let (cluster, namespace, options) = blocking(move || {
                config::load(&options, &env, &over).map(|(cluster, namespace)| (cluster, namespace, options))
            })
            .await??;
            let api = Arc::new(Api::new(Connection::new(cluster), namespace, options.name));
            let cache = cached.then(Arc::<CacheCell>::default);
            let writer = Writer::new(api.clone(), cache.clone(), options.text_values);
            Ok(Shared { reader: Reader::new(api.clone()), writer, cache, api })
        })?;
        let parts = Parts { runtime, shared: Arc::new(shared), closing, timeout };
        let inner = Inner { parts: ManuallyDrop::new(parts), generation: process::generation() };
        let store = Store { inner: Arc::new(inner), call: call.clone() };
        if cached {
            store.run_within(limits, async |shared, mut retry| shared.writer.refresh(&mut retry).await)?;
        }
        Ok(Store { call: Call::new(), ..store })
    }

    /// The same store; calls through this handle use `call`'s deadline and cancel token.
    pub fn with(&self, call: &Call) -> Store {
        Store { inner: self.inner.clone(), call: call.clone() }
    }

    /// The name of the ConfigMap.
    pub fn name(&self) -> &str {
        &self.inner.parts.shared.api.name
    }

    /// The namespace of the ConfigMap.
    pub fn namespace(&self) -> &str {
        &self.inner.parts.shared.api.namespace
    }

    /// The value of `key`, `None` if there is no such key.
    pub fn get(&self, key: &str) -> Result<Option<Value>> {
        let key = Key::new(key)?;
        match self.cache()? {
            Some(cache) => Ok(cache.get(key.as_str())),
            None => Ok(self.read()?.get(key.as_str()).cloned()),
        }
    }

    /// All keys, sorted.
    pub fn keys(&self) -> Result<Vec<String>> {
        Ok(self.snapshot()?.keys().map(str::to_owned).collect())
    }

    /// How many keys there are.
    pub fn len(&self) -> Result<usize> {
        Ok(self.snapshot()?.len())
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.snapshot()?.is_empty())
    }

    /// Whether there is a value for `key`.
    pub fn contains(&self, key: &str) -> Result<bool> {
        Ok(self.get(key)?.is_some())
    }

    /// The whole map at one revision; empty if the ConfigMap doesn't exist.
    pub fn snapshot(&self) -> Result<Snapshot> {
        match self.cache()? {
            Some(cache) => Ok(cache.load()),
            None => self.read(),
        }
    }

    /// Stores a value, unless it is stored already. Other keys, and whatever
    /// else is in the object, stay as they are. The first write creates the
    /// ConfigMap.
    pub fn set(&self, key: &str, value: impl AsRef<[u8]>) -> Result<Written> {
        self.write(set(key, value.as_ref(), false)?)
    }

    /// Stores a value and makes a new revision even if it is stored already,
    /// so that whoever watches hears of it.
    pub fn force_set(&self, key: &str, value: impl AsRef<[u8]>) -> Result<Written> {
        self.write(set(key, value.as_ref(), true)?)
    }

    /// Removes a key. A missing one is fine.
    pub fn delete(&self, key: &str) -> Result<Written> {
        self.write(Op::Delete { key: Key::new(key)? })
    }

    /// Removes every key, in one write. The ConfigMap stays.
    pub fn truncate(&self) -> Result<Written> {
        self.write(Op::Truncate)
    }

    /// Reads the map again: afterwards a cached store is at least as new as
    /// the server was at the call.
    pub fn refresh(&self) -> Result<()> {
        match self.cache()? {
            Some(_) => self.run(async |shared, mut retry| shared.writer.refresh(&mut retry).await),
            None => self.read().map(drop),
        }
    }

    /// How full the store is.
    pub fn usage(&self) -> Result<Usage> {
        Ok(self.snapshot()?.usage())
    }

    /// Whether the store can work: the cluster is reachable and the rights are
    /// there to read, write and (for a missing map) create it. Changes nothing.
    pub fn verify_connection(&self) -> Result<()> {
        self.run(async |shared, mut retry| verify::verify(&shared.api, &mut retry).await)
    }

    /// Closes the store for every handle: calls under way end with `Closed`, and
    /// so does every later one. Closing twice is fine.
    pub fn close(&self) -> Result<()> {
        self.check_fork()?;
        let parts = &self.inner.parts;
        parts.closing.close();
        let shared = parts.shared.clone();
        let _entered = parts.runtime.enter();
        tokio::spawn(async move { shared.api.connection().close().await });
        Ok(())
    }

    fn write(&self, op: Op) -> Result<Written> {
        self.check_fork()?;
        let limits = self.limits()?;
        limits.progress.set(Stage::NotWritten);
        self.run_within(limits, async move |shared, mut retry| shared.writer.write(&op, &mut retry).await)
    }

    fn read(&self) -> Result<Snapshot> {
        self.run(async |shared, mut retry| shared.reader.read(&mut retry).await)
    }

    /// The cache of a cached store, once it is clear that this call may use it.
    fn cache(&self) -> Result<Option<&CacheCell>> {
        self.check_fork()?;
        let parts = &self.inner.parts;
        self.call.timeout_or(parts.timeout)?;
        if parts.closing.is_closed() || self.call.is_cancelled() {
            self.limits()?.check(&parts.closing)?;
        }
        Ok(parts.shared.cache.as_deref())
    }

    fn run<T, W, F>(&self, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: FnOnce(Arc<Shared>, Retry) -> F,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.check_fork()?;
        self.run_within(self.limits()?, work)
    }

    fn run_within<T, W, F>(&self, limits: Arc<Limits>, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: FnOnce(Arc<Shared>, Retry) -> F,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let parts = &self.inner.parts;
        let work = work(parts.shared.clone(), Retry::new(limits.clone()));
        parts.runtime.run(&limits, &parts.closing, work)
    }

    fn limits(&self) -> Result<Arc<Limits>> {
        let parts = &self.inner.parts;
        limits(&self.call, parts.timeout, parts.shared.api.subject())
    }

    fn check_fork(&self) -> Result<()> {
        self.inner.parts.runtime.check_fork()
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({}/{})", self.namespace(), self.name())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // In a forked child these parts belong to threads that don't exist
        // there; taking them apart could wait for one of them.
        if self.generation == process::generation() {
            // SAFETY: dropped once, here.
            unsafe { ManuallyDrop::drop(&mut self.parts) };
        }
    }
}

fn set(key: &str, value: &[u8], force: bool) -> Result<Op> {
    let key = Key::new(key)?;
    check_value(&key, value.len())?;
    Ok(Op::Set { key, value: Bytes::copy_from_slice(value), force })
}

fn limits(call: &Call, default: Duration, subject: String) -> Result<Arc<Limits>> {
    let timeout = call.timeout_or(default)?;
    Ok(Arc::new(Limits {
        timeout,
        deadline: Instant::now() + timeout,
        cancel: call.cancel_token().cloned(),
        progress: Progress::new(Stage::Reading),
        subject,
    }))
}
