//! How a store is to be opened.

use std::path::PathBuf;
use std::time::Duration;

use crate::call::DEFAULT_TIMEOUT;
use crate::config::Given;
use crate::error::{Error, Result};
use crate::model::Layout;
use crate::write::budget;

/// Where reads come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cache {
    /// Every read asks the API server, and gives the newest state.
    #[default]
    None,
    /// Reads come from memory; the map is read once at open. For a map that
    /// usually only this process writes: another writer's change is noticed at
    /// the next own write or `refresh`, and is never overwritten.
    Exclusive,
}

/// Where the ConfigMap is and how the store treats it.
///
/// ```no_run
/// # use std::time::Duration;
/// # use mapstore::{Cache, Options};
/// # fn main() -> mapstore::Result<()> {
/// let store = Options::new("my-settings")
///     .namespace("prod")
///     .cache(Cache::Exclusive)
///     .timeout(Duration::from_secs(5))
///     .open()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) name: String,
    pub(crate) given: Given,
    pub(crate) cache: Cache,
    pub(crate) timeout: Duration,
    pub(crate) text_values: bool,
    pub(crate) binary_only: bool,
    pub(crate) write_budget: u64,
}

impl Options {
    /// Options for the ConfigMap `name`, everything else by default.
    pub fn new(name: impl Into<String>) -> Self {
        Options {
            name: name.into(),
            given: Given::default(),
            cache: Cache::None,
            timeout: DEFAULT_TIMEOUT,
            text_values: false,
            binary_only: false,
            write_budget: budget::DEFAULT,
        }
    }

    /// Sets the namespace. Without this option the namespace is, in this order,
    /// that of `NAMESPACE`, of the kubeconfig's context, of the service account, or
    /// `default`.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.given.namespace = Some(namespace.into());
        self
    }

    /// Sets the kubeconfig file. Without this option the cluster is, in this order,
    /// that of `MAPSTORE_CLUSTER_CONFIG_PATH`, of `KUBECONFIG`, of the service account
    /// in a pod, or of `~/.kube/config`.
    pub fn kubeconfig(mut self, path: impl Into<PathBuf>) -> Self {
        self.given.kubeconfig = Some(path.into());
        self
    }

    /// Sets the context in the kubeconfig. Without this option its `current-context`
    /// counts.
    pub fn context(mut self, context: impl Into<String>) -> Self {
        self.given.context = Some(context.into());
        self
    }

    /// Sets where reads come from; [`Cache::None`] by default.
    pub fn cache(mut self, cache: Cache) -> Self {
        self.cache = cache;
        self
    }

    /// Sets the deadline of every call that doesn't set its own, opening included:
    /// 1 ms to 24 h, 10 s by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// New keys whose value is text that survives kubectl's YAML (UTF-8 without
    /// U+007F to U+009F, U+FFFE and U+FFFF) go to `data`, readable for kubectl,
    /// instead of `binaryData`. Keys that exist stay where they are.
    pub fn text_values(mut self, text: bool) -> Self {
        self.text_values = text;
        self
    }

    /// The store is over the ConfigMap's `binaryData` alone: it sees, counts, sets
    /// and truncates binary keys only, and leaves `data` as it is. Setting a key
    /// that stands in `data` is `Rejected`. That is how the Go package
    /// github.com/unrolled/mapstore works. It can't be used together with
    /// [`text_values`](Self::text_values).
    pub fn binary_only(mut self, only: bool) -> Self {
        self.binary_only = only;
        self
    }

    /// Looks for cluster and namespace in few places, as the Go package
    /// github.com/unrolled/mapstore does, so that a program can't reach another
    /// cluster than the one meant for it. The cluster:
    /// `MAPSTORE_CLUSTER_CONFIG_PATH`, else the service account of a pod, else an
    /// error. The namespace: `NAMESPACE`, else the service account's, else an
    /// error. The options [`kubeconfig`](Self::kubeconfig) and
    /// [`namespace`](Self::namespace) still come first.
    pub fn strict_lookup(mut self, strict: bool) -> Self {
        self.given.strict = strict;
        self
    }

    pub(crate) fn layout(&self) -> Result<Layout> {
        match (self.binary_only, self.text_values) {
            (false, false) => Ok(Layout::Bytes),
            (false, true) => Ok(Layout::Text),
            (true, false) => Ok(Layout::BinaryOnly),
            (true, true) => Err(Error::invalid(
                "option text_values",
                "a store with binary_only never touches text; give one of the two options",
            )),
        }
    }

    /// Sets how many bytes this process may have stored in five minutes, over all its
    /// maps, for as long as it runs. Half of that may be stored at once; then writes of
    /// this store are slowed to that rate, and refused as `Overloaded` if they couldn't
    /// go before their deadline. 128 MiB by default, `u64::MAX` for no limit.
    /// Each write counts with the size of the whole map: that is what it costs
    /// the cluster, until old revisions are compacted.
    pub fn write_budget(mut self, bytes_per_five_minutes: u64) -> Self {
        self.write_budget = bytes_per_five_minutes;
        self
    }
}
