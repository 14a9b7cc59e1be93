//! The store: every public blocking operation, a few lines each.

use std::future::Future;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::call::{Call, check_timeout};
use crate::config::{self, Environment};
use crate::error::{Error, Result};
use crate::host::deadline::{Closing, Limits, Progress, Stage};
use crate::host::runtime::Runtime;
use crate::host::{blocking, process};
use crate::map::{MAPS, Map};
use crate::model::{Batch, Op, Written};
use crate::model::{Key, check_name};
use crate::model::{Layout, Snapshot, Usage, Value};
use crate::options::{Cache, Options};
use crate::read::cache::CacheCell;
use crate::server::connection::Connection;
use crate::server::retry::Retry;
use crate::server::verify;
use crate::write::budget::BUDGET;
use crate::write::queue::{Done, Job, Request, Seen};

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
    /// What the tasks on the I/O thread use; never the runtime itself, which must
    /// not be stopped by one of its own tasks.
    map: Arc<Map>,
    cache: Option<Arc<CacheCell>>,
    closing: Closing,
    timeout: Duration,
    layout: Layout,
    write_budget: u64,
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
        let (layout, write_budget) = (options.layout()?, options.write_budget);
        let bounds = limits.clone();
        let over = move || bounds.is_past() || bounds.is_cancelled();
        let map = runtime.run(&limits, &closing, async move {
            let (cluster, namespace, name) = blocking::run(move || {
                let (cluster, namespace) = config::load(&options.given, &env, &over)?;
                Connection::check(&cluster)?;
                Ok::<_, Error>((cluster, namespace, options.name))
            })
            .await??;
            Ok(MAPS.get().open(cluster, namespace, name))
        })?;
        let cache = cached.then(|| map.writer.cache_for_reading());
        let parts = Parts { runtime, map, cache, closing, timeout, layout, write_budget };
        let inner = Inner { parts: ManuallyDrop::new(parts), generation: process::generation() };
        let store = Store { inner: Arc::new(inner), call: call.clone() };
        if cached {
            store.enqueue(Job::Refresh, limits)?;
        }
        Ok(Store { call: Call::new(), ..store })
    }

    /// The same store; calls through this handle use `call`'s deadline and cancel token.
    pub fn with(&self, call: &Call) -> Store {
        Store { inner: self.inner.clone(), call: call.clone() }
    }

    /// The name of the ConfigMap.
    pub fn name(&self) -> &str {
        &self.inner.parts.map.api.name
    }

    /// The namespace of the ConfigMap.
    pub fn namespace(&self) -> &str {
        &self.inner.parts.map.api.namespace
    }

    /// The value of `key`, `None` if there is no such key.
    pub fn get(&self, key: &str) -> Result<Option<Value>> {
        let key = Key::new(key)?;
        match self.cache()? {
            Some(cache) => Ok(cache.get(key.as_str(), self.layout())),
            None => Ok(self.read()?.get_in(key.as_str(), self.layout()).cloned()),
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
            Some(cache) => Ok(cache.load().seen_by(self.layout())),
            None => Ok(self.read()?.seen_by(self.layout())),
        }
    }

    /// Which of the map's two halves this store uses.
    pub(crate) fn layout(&self) -> Layout {
        self.inner.parts.layout
    }

    /// Stores a value, unless it is stored already. Other keys, and whatever
    /// else is in the object, stay as they are. The first write creates the
    /// ConfigMap.
    pub fn set(&self, key: &str, value: impl AsRef<[u8]>) -> Result<Written> {
        self.write(Batch::of(Op::set(key, value.as_ref(), false)?))
    }

    /// Stores a value and makes a new revision even if it is stored already,
    /// so that whoever watches hears of it.
    pub fn force_set(&self, key: &str, value: impl AsRef<[u8]>) -> Result<Written> {
        self.write(Batch::of(Op::set(key, value.as_ref(), true)?))
    }

    /// Removes a key. A missing one is fine.
    pub fn delete(&self, key: &str) -> Result<Written> {
        self.write(Batch::of(Op::Delete { key: Key::new(key)? }))
    }

    /// Removes every key, in one write. The ConfigMap stays.
    pub fn truncate(&self) -> Result<Written> {
        self.write(Batch::of(Op::Truncate))
    }

    /// Makes all changes of a batch in one revision, or none of them. A
    /// condition that doesn't hold is a `Conflict` that says which one; nothing
    /// is written then. Conditions hold against every writer there is.
    ///
    /// Conditions cost a read of the map in [`Cache::None`].
    pub fn apply(&self, batch: &Batch) -> Result<Written> {
        self.write(batch.clone())
    }

    /// Stores `value` (`None`: removes the key) if the key has exactly the value
    /// `expected` (`None`: if it is missing); otherwise a `Conflict`, and nothing
    /// is written.
    pub fn compare_and_set(
        &self,
        key: &str,
        expected: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<Written> {
        self.write(Batch::swap(key, expected, value)?)
    }

    /// Reads the map again: afterwards a cached store is at least as new as
    /// the server was at the call.
    pub fn refresh(&self) -> Result<()> {
        match self.cache()? {
            Some(_) => self.enqueue(Job::Refresh, self.limits()?).map(drop),
            None => self.read().map(drop),
        }
    }

    /// How full the store is.
    pub fn usage(&self) -> Result<Usage> {
        let parts = &self.inner.parts;
        let map = self.snapshot()?;
        let used = BUDGET.get().used(Instant::now());
        Ok(Usage::of(&map, used, parts.write_budget))
    }

    /// Whether the store can work: the cluster is reachable and the rights are
    /// there to read, write and (for a missing map) create it. Changes nothing.
    pub fn verify_connection(&self) -> Result<()> {
        self.run(self.limits()?, async |map, mut retry, limits| {
            verify::verify(&map.api, &mut retry, &*limits).await
        })
    }

    /// Closes the store for every handle: calls under way end with `Closed`, and
    /// so does every later one. Closing twice is fine. In a forked child there is
    /// nothing to close: it succeeds, and does nothing.
    pub fn close(&self) -> Result<()> {
        if self.check_fork().is_ok() {
            self.inner.parts.close();
        }
        Ok(())
    }

    fn write(&self, batch: Batch) -> Result<Written> {
        let limits = self.limits()?;
        limits.progress.set(Stage::NotWritten);
        match self.submit(batch, None, limits)? {
            Done::Written(written) => Ok(written),
            Done::Unmet(error, _) => Err(error),
        }
    }

    pub(crate) fn submit(&self, batch: Batch, seen: Option<Seen>, limits: Arc<Limits>) -> Result<Done> {
        self.enqueue(Job::Write { batch, seen }, limits)
    }

    /// How many groups were written to the map by this process.
    pub(crate) fn writes(&self) -> u64 {
        self.inner.parts.map.writer.writes()
    }

    /// Gives the writer something to do, and waits for it.
    fn enqueue(&self, job: Job, limits: Arc<Limits>) -> Result<Done> {
        self.check_fork()?;
        let parts = &self.inner.parts;
        let (cached, layout, budget) = (parts.cache.is_some(), parts.layout, parts.write_budget);
        parts.runtime.wait(&limits, &parts.closing, |answer| {
            let (limits, closing) = (limits.clone(), parts.closing.clone());
            let request = Request { job, cached, layout, budget, limits, closing, answer };
            parts.map.writer.enqueue(request, &parts.runtime);
            || parts.map.writer.someone_left()
        })
    }

    fn read(&self) -> Result<Snapshot> {
        self.read_within(self.limits()?)
    }

    pub(crate) fn read_within(&self, limits: Arc<Limits>) -> Result<Snapshot> {
        self.run(limits, async |map, mut retry, limits| map.reader.read(&mut retry, &*limits).await)
    }

    /// The cache of a cached store, once it is clear that this call may use it.
    pub(crate) fn cache(&self) -> Result<Option<&CacheCell>> {
        self.check_fork()?;
        let parts = &self.inner.parts;
        self.call.timeout_or(parts.timeout)?;
        if parts.closing.is_closed() || self.call.is_cancelled() {
            self.limits()?.check(&parts.closing)?;
        }
        Ok(parts.cache.as_deref())
    }

    fn run<T, W, F>(&self, limits: Arc<Limits>, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: FnOnce(Arc<Map>, Retry, Arc<Limits>) -> F,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.check_fork()?;
        let parts = &self.inner.parts;
        let work = work(parts.map.clone(), Retry::new(limits.deadline), limits.clone());
        let bounds = limits.clone();
        let work = async move { work.await.map_err(|error| bounds.explain(error)) };
        parts.runtime.run(&limits, &parts.closing, work)
    }

    pub(crate) fn limits(&self) -> Result<Arc<Limits>> {
        let parts = &self.inner.parts;
        limits(&self.call, parts.timeout, parts.map.api.subject())
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

impl Parts {
    /// Ends the calls under way; the connections go with the last store that used them.
    fn close(&self) {
        if self.closing.close() && self.map.leave() {
            let map = self.map.clone();
            self.runtime.spawner().spawn(async move { map.api.connection().leave().await });
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // In a forked child these parts belong to threads that don't exist
        // there; taking them apart could wait for one of them.
        if self.generation == process::generation() {
            self.parts.close();
            // SAFETY: dropped once, here.
            unsafe { ManuallyDrop::drop(&mut self.parts) };
        }
    }
}

fn limits(call: &Call, default: Duration, subject: String) -> Result<Arc<Limits>> {
    let timeout = call.timeout_or(default)?;
    Ok(Arc::new(Limits {
        timeout,
        deadline: Instant::now() + timeout,
        cancel: call.cancel_token().cloned(),
        watch: call.watch(),
        progress: Progress::new(Stage::Reading),
        subject,
    }))
}
