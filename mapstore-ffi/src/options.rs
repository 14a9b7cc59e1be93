//! `mapstore_options_t`: how a store is to be opened.

use std::ffi::c_char;
use std::path::PathBuf;
use std::time::Duration;

use mapstore_core::Cache;

use crate::call::timeout;
use crate::error::Error;
use crate::guard::{guard, guard_free, guard_new};
use crate::pointer::{handle_mut, path, text};

/// Every read asks the API server: always the newest.
pub const MAPSTORE_CACHE_NONE: i32 = 0;
/// Reads come from memory; the map is read once at open. For a map that
/// usually only this process writes.
pub const MAPSTORE_CACHE_EXCLUSIVE: i32 = 1;

/// How a store is to be opened. Wherever a function takes options, NULL means
/// the defaults. Freed with `mapstore_options_free`; any number of threads may
/// open stores with it, but not while it is being set.
#[derive(Clone, Default)]
pub struct Options {
    namespace: Option<String>,
    kubeconfig: Option<PathBuf>,
    context: Option<String>,
    cache: Cache,
    timeout: Option<Duration>,
    text_values: bool,
    binary_only: bool,
    strict_lookup: bool,
    write_budget: Option<u64>,
}

impl Options {
    fn into_core(self, name: &str) -> mapstore_core::Options {
        let mut options = mapstore_core::Options::new(name)
            .cache(self.cache)
            .text_values(self.text_values)
            .binary_only(self.binary_only)
            .strict_lookup(self.strict_lookup);
        if let Some(namespace) = self.namespace {
            options = options.namespace(namespace);
        }
        if let Some(kubeconfig) = self.kubeconfig {
            options = options.kubeconfig(kubeconfig);
        }
        if let Some(context) = self.context {
            options = options.context(context);
        }
        if let Some(timeout) = self.timeout {
            options = options.timeout(timeout);
        }
        if let Some(budget) = self.write_budget {
            options = options.write_budget(budget);
        }
        options
    }
}

/// The options for the map `name`, NULL being the defaults.
///
/// # Safety
/// `name` and `len` as for [`text`]; `options` is NULL or a live handle that
/// isn't being set meanwhile.
pub unsafe fn options_for(
    name: *const c_char,
    len: usize,
    options: *const Options,
) -> Result<mapstore_core::Options, Error> {
    // SAFETY: as above.
    let (name, options) = unsafe { (text("name", name, len)?, options.as_ref()) };
    Ok(options.cloned().unwrap_or_default().into_core(name))
}

/// Options with the defaults. The caller owns them and frees them with
/// `mapstore_options_free`. NULL only for a defect of the library.
///
/// Never blocks; safe from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn mapstore_options_new() -> *mut Options {
    guard_new(Options::default)
}

/// The namespace. By default: the variable `NAMESPACE`, the kubeconfig's
/// context's, the service account's, "default". The text is copied; that it is
/// a name for a namespace is checked at open.
///
/// Never blocks; not while another thread uses `options`. Errors:
/// `MAPSTORE_INVALID_ARGUMENT` for NULL and for text that is not UTF-8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_options_set_namespace(
    options: *mut Options,
    namespace_name: *const c_char,
    namespace_len: usize,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let (options, given) =
                (handle_mut("options", options)?, text("namespace", namespace_name, namespace_len)?);
            options.namespace = Some(given.to_owned());
            Ok(())
        })
    }
}

/// The kubeconfig file. By default: the variables `MAPSTORE_CLUSTER_CONFIG_PATH`
/// and `KUBECONFIG`, in a pod the service account, `~/.kube/config`. The path is
/// copied; the file is read at open.
///
/// Never blocks; not while another thread uses `options`. Errors:
/// `MAPSTORE_INVALID_ARGUMENT` for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_options_set_kubeconfig(
    options: *mut Options,
    path_name: *const c_char,
    path_len: usize,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let (options, given) = (handle_mut("options", options)?, path("path", path_name, path_len)?);
            options.kubeconfig = Some(given.into());
            Ok(())
        })
    }
}

/// The context in the kubeconfig; by default its `current-context`. The text
/// is copied.
///
/// Never blocks; not while another thread uses `options`. Errors:
/// `MAPSTORE_INVALID_ARGUMENT` for NULL and for text that is not UTF-8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_options_set_context(
    options: *mut Options,
    context: *const c_char,
    context_len: usize,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            let (options, given) = (handle_mut("options", options)?, text("context", context, context_len)?);
            options.context = Some(given.to_owned());
            Ok(())
        })
    }
}

/// Where reads come from: `MAPSTORE_CACHE_NONE` (the default) or
/// `MAPSTORE_CACHE_EXCLUSIVE`.
///
/// Never blocks; not while another thread uses `options`. Errors:
/// `MAPSTORE_INVALID_ARGUMENT` for NULL and for any other number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_options_set_cache(
    options: *mut Options,
    cache: i32,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            handle_mut("options", options)?.cache = match cache {
                MAPSTORE_CACHE_NONE => Cache::None,
                MAPSTORE_CACHE_EXCLUSIVE => Cache::Exclusive,
                other => return Err(Error::argument("cache", &format!("{other} is no cache mode"))),
            };
            Ok(())
        })
    }
}

/// The deadline of every call that doesn't set its own, opening included, in
/// milliseconds: 1 to 86400000 (24 h), by default 10000. A negative number is
/// refused here, 0 and more than 24 h at open.
///
/// Never blocks; not while another thread uses `options`. Errors:
/// `MAPSTORE_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_options_set_timeout_ms(
    options: *mut Options,
    timeout_ms: i64,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            handle_mut("options", options)?.timeout = Some(timeout(timeout_ms)?);
            Ok(())
        })
    }
}

/// Other than 0: new keys whose value is text that survives kubectl's YAML
/// (UTF-8 without U+007F to U+009F, U+FFFE and U+FFFF) go to the ConfigMap's
/// `data`, readable for kubectl, instead of `binaryData`. Keys that exist stay
/// where they are. 0 is the default.
///
/// Never blocks; not while another thread uses `options`. Errors:
/// `MAPSTORE_INVALID_ARGUMENT` for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_options_set_text_values(
    options: *mut Options,
    text_values: i32,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            handle_mut("options", options)?.text_values = text_values != 0;
            Ok(())
        })
    }
}

/// Other than 0: the store is over the ConfigMap's `binaryData` alone. It sees,
/// counts, sets and truncates binary keys only, and leaves `data` as it is;
/// setting a key that stands in `data` is `MAPSTORE_REJECTED`. 0 is the default.
/// Not together with `mapstore_options_set_text_values`: refused at open.
///
/// Never blocks; not while another thread uses `options`. Errors:
/// `MAPSTORE_INVALID_ARGUMENT` for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_options_set_binary_only(
    options: *mut Options,
    binary_only: i32,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            handle_mut("options", options)?.binary_only = binary_only != 0;
            Ok(())
        })
    }
}

/// Other than 0: cluster and namespace are looked for in few places, so that a
/// program can't reach another cluster than the one meant for it. The cluster:
/// `MAPSTORE_CLUSTER_CONFIG_PATH`, else the service account of a pod, else an
/// error. The namespace: `NAMESPACE`, else the service account's, else an error.
/// What `mapstore_options_set_kubeconfig` and `mapstore_options_set_namespace`
/// say still comes first. 0 is the default.
///
/// Never blocks; not while another thread uses `options`. Errors:
/// `MAPSTORE_INVALID_ARGUMENT` for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_options_set_strict_lookup(
    options: *mut Options,
    strict_lookup: i32,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            handle_mut("options", options)?.strict_lookup = strict_lookup != 0;
            Ok(())
        })
    }
}

/// How many bytes this process may have stored in five minutes, over all its
/// maps, for as long as it runs: half of it at once, then writes of stores
/// opened with these options are slowed to that rate, and refused as
/// `MAPSTORE_OVERLOADED` if they couldn't go before their deadline. Each write
/// counts with the size of the whole map. 134217728 (128 MiB) by default,
/// `MAPSTORE_UNLIMITED` for no limit.
///
/// Never blocks; not while another thread uses `options`. Errors:
/// `MAPSTORE_INVALID_ARGUMENT` for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_options_set_write_budget(
    options: *mut Options,
    bytes: u64,
    error: *mut *mut Error,
) -> i32 {
    // SAFETY: NULL or valid, as the header asks.
    unsafe {
        guard(error, || {
            handle_mut("options", options)?.write_budget = Some(bytes);
            Ok(())
        })
    }
}

/// Frees options; stores opened with them keep what they need. NULL is a no-op.
///
/// Never blocks; not while another thread uses this handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_options_free(options: *mut Options) {
    // SAFETY: NULL or a handle that is used no more, as the header asks.
    unsafe { guard_free(options) }
}
