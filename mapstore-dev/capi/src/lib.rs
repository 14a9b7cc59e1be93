//! The C library: each function converts its arguments, makes one call of the
//! Rust library and maps the result, all inside one guard.

// What a caller has to keep to is in the header's conventions, not in each function's "Safety".
#![allow(clippy::missing_safety_doc)]

use std::ffi::{CStr, CString, OsStr, c_char};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use server::{DevServer, Rule, User};

/// The call did what it says.
pub const MAPSTORE_DEV_OK: i32 = 0;
/// A NULL where none may be, text that isn't UTF-8, rules that can't be read, a bad name.
pub const MAPSTORE_DEV_INVALID_ARGUMENT: i32 = 1;
/// The system refused: port taken, disk full, no such namespace.
pub const MAPSTORE_DEV_FAILED: i32 = 2;
/// A bug in this library.
pub const MAPSTORE_DEV_INTERNAL: i32 = 3;

/// A running server.
pub struct Server {
    server: Mutex<DevServer>,
    url: CString,
    kubeconfig: CString,
    /// Holds the kubeconfig files; removed with the server.
    directory: PathBuf,
    /// How many of them users have.
    files: AtomicU64,
}

impl Server {
    fn start(port: u16) -> Result<Server, Failure> {
        let server = DevServer::builder().port(port).start()?;
        let directory = temporary_directory()?;
        let path = directory.join("kubeconfig");
        // From here on dropping the value removes the directory.
        let server = Server {
            url: text(server.url())?,
            kubeconfig: text(path.as_os_str().as_bytes())?,
            server: Mutex::new(server),
            directory,
            files: AtomicU64::new(0),
        };
        server.lock().write_kubeconfig(path)?;
        Ok(server)
    }

    fn lock(&self) -> MutexGuard<'_, DevServer> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn temporary_directory() -> io::Result<PathBuf> {
    let template = std::env::temp_dir().join("mapstore-dev.XXXXXX");
    let mut template = CString::new(template.as_os_str().as_bytes())?.into_bytes_with_nul();
    // SAFETY: a NUL-terminated buffer of our own, which mkdtemp changes in place.
    let made = unsafe { libc::mkdtemp(template.as_mut_ptr().cast()) };
    if made.is_null() {
        return Err(io::Error::last_os_error());
    }
    template.pop();
    Ok(PathBuf::from(OsStr::from_bytes(&template)))
}

/// Why a call failed: its code and its text.
struct Failure(i32, String);

impl From<io::Error> for Failure {
    fn from(e: io::Error) -> Failure {
        Failure(MAPSTORE_DEV_FAILED, e.to_string())
    }
}

fn invalid(text: impl Into<String>) -> Failure {
    Failure(MAPSTORE_DEV_INVALID_ARGUMENT, text.into())
}

fn text(bytes: impl Into<Vec<u8>>) -> Result<CString, Failure> {
    CString::new(bytes).map_err(|_| invalid("a text with a NUL in it"))
}

/// Runs a call; panics and failures become codes, texts go to `error`.
///
/// # Safety
/// `error` is NULL or points to a `char *` that may be written.
unsafe fn guard(error: *mut *mut c_char, call: impl FnOnce() -> Result<(), Failure>) -> i32 {
    let outcome = catch_unwind(AssertUnwindSafe(call));
    let Failure(code, message) = match outcome {
        Ok(Ok(())) => return MAPSTORE_DEV_OK,
        Ok(Err(failure)) => failure,
        Err(_) => Failure(MAPSTORE_DEV_INTERNAL, "a bug in mapstore-dev: it panicked".into()),
    };
    if !error.is_null() {
        let message = CString::new(message.replace('\0', "?")).unwrap_or_default();
        // SAFETY: not NULL, and the caller says it may be written.
        unsafe { *error = message.into_raw() };
    }
    code
}

/// # Safety
/// `server` is NULL or came from `mapstore_dev_start` and isn't freed.
unsafe fn server<'a>(server: *const Server) -> Result<&'a Server, Failure> {
    // SAFETY: as the caller says.
    unsafe { server.as_ref() }.ok_or_else(|| invalid("server is NULL"))
}

/// # Safety
/// `text` is NULL or a NUL-terminated string that lives as long as the result.
unsafe fn string<'a>(text: *const c_char, name: &str) -> Result<&'a str, Failure> {
    if text.is_null() {
        return Err(invalid(format!("{name} is NULL")));
    }
    // SAFETY: not NULL, otherwise as the caller says.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|_| invalid(format!("{name} is not UTF-8")))
}

fn not_null<T>(out: *mut T, name: &str) -> Result<*mut T, Failure> {
    if out.is_null() { Err(invalid(format!("{name} is NULL"))) } else { Ok(out) }
}

/// Starts a server on 127.0.0.1 and puts it into `*server`. Port 0 takes any
/// free one. It answers as soon as this returns. It has one thread, called
/// `mapstore-dev`, with all signals blocked.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_dev_start(
    port: u16,
    server: *mut *mut Server,
    error: *mut *mut c_char,
) -> i32 {
    // SAFETY: the caller keeps to the header's conventions.
    unsafe {
        guard(error, || {
            let out = not_null(server, "server")?;
            *out = Box::into_raw(Box::new(Server::start(port)?));
            Ok(())
        })
    }
}

/// The server's address, `https://127.0.0.1:PORT`. It lives as long as the
/// server. NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_dev_url(server: *const Server) -> *const c_char {
    // SAFETY: the caller keeps to the header's conventions.
    unsafe { server.as_ref() }.map_or(std::ptr::null(), |s| s.url.as_ptr())
}

/// The path of the administrator's kubeconfig, a file only its owner can read
/// (0600) that is removed with the server. The path lives as long as the
/// server. NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_dev_kubeconfig_path(server: *const Server) -> *const c_char {
    // SAFETY: the caller keeps to the header's conventions.
    unsafe { server.as_ref() }.map_or(std::ptr::null(), |s| s.kubeconfig.as_ptr())
}

/// Creates a namespace; one that is there is left alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_dev_create_namespace(
    server: *const Server,
    name: *const c_char,
    error: *mut *mut c_char,
) -> i32 {
    // SAFETY: the caller keeps to the header's conventions.
    unsafe {
        guard(error, || {
            let (server, name) = (self::server(server)?, string(name, "name")?);
            let created = server.lock().create_namespace(name);
            created.then_some(()).ok_or_else(|| invalid(format!("{name:?} is no namespace's name")))
        })
    }
}

/// Marks a namespace as terminating, for good: what it holds stays, new objects
/// are refused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_dev_terminate_namespace(
    server: *const Server,
    name: *const c_char,
    error: *mut *mut c_char,
) -> i32 {
    // SAFETY: the caller keeps to the header's conventions.
    unsafe {
        guard(error, || {
            let (server, name) = (self::server(server)?, string(name, "name")?);
            let missing = || Failure(MAPSTORE_DEV_FAILED, format!("no namespace {name:?}"));
            server.lock().terminate_namespace(name).then_some(()).ok_or_else(missing)
        })
    }
}

/// Limits how many ConfigMaps a namespace may hold, as a ResourceQuota would.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_dev_set_quota(
    server: *const Server,
    name: *const c_char,
    configmaps: u64,
    error: *mut *mut c_char,
) -> i32 {
    // SAFETY: the caller keeps to the header's conventions.
    unsafe {
        guard(error, || {
            let (server, name) = (self::server(server)?, string(name, "name")?);
            server.lock().set_quota(name, configmaps);
            Ok(())
        })
    }
}

/// Refuses ConfigMaps with this key in a namespace, as an admission policy would.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_dev_forbid_key(
    server: *const Server,
    name: *const c_char,
    key: *const c_char,
    error: *mut *mut c_char,
) -> i32 {
    // SAFETY: the caller keeps to the header's conventions.
    unsafe {
        guard(error, || {
            let (server, name) = (self::server(server)?, string(name, "name")?);
            server.lock().forbid_key(name, string(key, "key")?);
            Ok(())
        })
    }
}

/// Adds a user, `system:serviceaccount:NAMESPACE:NAME`, and puts its token into
/// `*token` (free it with `mapstore_dev_string_free`). `rules_json` is a list of
/// rules as in a Role: `[{"apiGroups": [""], "resources": ["configmaps"],
/// "resourceNames": ["settings"], "verbs": ["get", "patch"]}]`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_dev_add_user(
    server: *const Server,
    name: *const c_char,
    name_space: *const c_char,
    rules_json: *const c_char,
    token: *mut *mut c_char,
    error: *mut *mut c_char,
) -> i32 {
    // SAFETY: the caller keeps to the header's conventions.
    unsafe {
        guard(error, || {
            let (server, name) = (self::server(server)?, string(name, "name")?);
            let namespace = string(name_space, "name_space")?;
            let rules: Vec<Rule> = serde_json::from_str(string(rules_json, "rules_json")?)
                .map_err(|e| invalid(format!("rules_json: {e}")))?;
            let out = not_null(token, "token")?;
            let user = server.lock().add_user(name, namespace, rules);
            *out = text(user.token)?.into_raw();
            Ok(())
        })
    }
}

/// Makes a token of `mapstore_dev_add_user` invalid: its next request is answered 401.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_dev_revoke(
    server: *const Server,
    token: *const c_char,
    error: *mut *mut c_char,
) -> i32 {
    // SAFETY: the caller keeps to the header's conventions.
    unsafe {
        guard(error, || {
            let (server, token) = (self::server(server)?, string(token, "token")?);
            server.lock().revoke(&User { name: String::new(), token: token.into() });
            Ok(())
        })
    }
}

/// Writes a kubeconfig with this token and namespace, a file only its owner can
/// read (0600) that is removed with the server, and puts its path into `*path`
/// (free that with `mapstore_dev_string_free`).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_dev_user_kubeconfig(
    server: *const Server,
    token: *const c_char,
    name_space: *const c_char,
    path: *mut *mut c_char,
    error: *mut *mut c_char,
) -> i32 {
    // SAFETY: the caller keeps to the header's conventions.
    unsafe {
        guard(error, || {
            let (server, token) = (self::server(server)?, string(token, "token")?);
            let namespace = string(name_space, "name_space")?;
            let out = not_null(path, "path")?;
            let user = User { name: "user".into(), token: token.into() };
            let number = server.files.fetch_add(1, Ordering::Relaxed);
            let file = server.directory.join(format!("kubeconfig-{number}"));
            server.lock().write_kubeconfig_for(&user, namespace, &file)?;
            *out = text(file.as_os_str().as_bytes())?.into_raw();
            Ok(())
        })
    }
}

/// Stops answering: connections are closed, new ones refused. What the server
/// holds stays until `mapstore_dev_free`. NULL is a no-op.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_dev_stop(server: *const Server) {
    // SAFETY: the caller keeps to the header's conventions; there is no error to write.
    unsafe {
        guard(std::ptr::null_mut(), || {
            self::server(server)?.lock().pause();
            Ok(())
        });
    }
}

/// Answers again after `mapstore_dev_stop`, on the same port, with what it held.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_dev_resume(server: *const Server, error: *mut *mut c_char) -> i32 {
    // SAFETY: the caller keeps to the header's conventions.
    unsafe {
        guard(error, || {
            self::server(server)?.lock().resume()?;
            Ok(())
        })
    }
}

/// Stops the server and removes its files. NULL is a no-op.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_dev_free(server: *mut Server) {
    if server.is_null() {
        return;
    }
    // SAFETY: it came from Box::into_raw in mapstore_dev_start, as the caller
    // says; there is no error to write.
    unsafe {
        guard(std::ptr::null_mut(), || {
            drop(Box::from_raw(server));
            Ok(())
        });
    }
}

/// Frees a text that a function of this library put into an output. NULL is a no-op.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mapstore_dev_string_free(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: it came from CString::into_raw, as the caller says.
        drop(unsafe { CString::from_raw(text) });
    }
}
