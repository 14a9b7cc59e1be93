//! T3: the host process is left alone. Refused in async code; few threads, named, with every signal blocked, gone with
//! the last store; fork; credential plugins that leave nothing behind. Tests that look at the whole process, fork it
//! or change it run in one of their own.

mod support;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use mapstore::{Cache, ErrorKind, Options, Store};
use support::gate::Gate;
use support::*;

const WRONG_THREAD: &str = "spawn_blocking";

fn options(kubeconfig: &Path) -> Options {
    Options::new("m").kubeconfig(kubeconfig)
}

/// The test `name` again, in a process of its own with a kubeconfig for a server outside of it.
fn alone_with_a_server(name: &str, prepare: impl FnOnce(&mut Command)) {
    let site = Site::dev();
    alone(name, &site.kubeconfig("direct", None, None), prepare);
}

#[track_caller]
fn is_refused_here(store: &Store, options: &Options) {
    for (name, operation) in all_operations() {
        let error = refused(name, operation(store), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(WRONG_THREAD), "{error}");
    }
    for cache in [Cache::None, Cache::Exclusive] {
        refused("open", options.clone().cache(cache).open(), ErrorKind::InvalidArgument);
    }
}

#[track_caller]
fn is_allowed_here(options: &Options) {
    let store = options.clone().open().unwrap();
    store.set("k", "v").unwrap();
    assert_eq!(store.get("k").unwrap().as_deref(), Some(&b"v"[..]));
}

#[test]
#[allow(clippy::disallowed_methods, reason = "it is about tokio's own threads")]
fn async_code_gets_an_error_instead_of_a_stopped_runtime() {
    let site = Site::dev();
    let options = site.options();
    let store = options.clone().open().unwrap();
    let several = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let single = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for runtime in [&several, &single] {
        runtime.block_on(async { is_refused_here(&store, &options) });
        runtime.block_on(async {
            let (store, options) = (store.clone(), options.clone());
            tokio::spawn(async move { is_refused_here(&store, &options) }).await.unwrap();
        });
        runtime.block_on(async {
            let options = options.clone();
            tokio::task::spawn_blocking(move || is_allowed_here(&options)).await.unwrap();
        });
        // A store may be dropped, cloned and closed anywhere.
        runtime.block_on(async {
            let options = options.clone();
            let other = tokio::task::spawn_blocking(move || options.open().unwrap()).await.unwrap();
            other.close().unwrap();
            drop(other);
        });
        let _entered = runtime.enter();
        is_allowed_here(&options);
    }
    let local = tokio::task::LocalSet::new();
    local.block_on(&single, async {
        is_refused_here(&store, &options);
        let (store, options) = (store.clone(), options.clone());
        tokio::task::spawn_local(async move { is_refused_here(&store, &options) }).await.unwrap();
    });
    thread::spawn(move || is_allowed_here(&options)).join().unwrap();
}

/// The last store dropped in async code neither panics nor leaves its threads behind.
#[test]
fn the_last_store_can_be_dropped_in_async_code() {
    let Some(kubeconfig) = inside() else {
        return alone_with_a_server("the_last_store_can_be_dropped_in_async_code", |_| {});
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = options(&kubeconfig).open().unwrap();
    store.set("k", "v").unwrap();
    runtime.block_on(async move { drop(store) });
    eventually("the threads end", || own_threads().is_empty());
}

/// Identifier and name of each thread of this process that is mapstore's.
fn own_threads() -> Vec<(String, String)> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
    let named = tasks.filter_map(|task| {
        let name = fs::read_to_string(task.path().join("comm")).ok()?.trim().to_owned();
        Some((task.file_name().into_string().unwrap(), name))
    });
    named.filter(|(_, name)| name.starts_with("mapstore")).collect()
}

fn all_threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn fifty_stores_have_four_threads_at_most_and_no_signal_reaches_them() {
    let Some(kubeconfig) = inside() else {
        return alone_with_a_server(
            "fifty_stores_have_four_threads_at_most_and_no_signal_reaches_them",
            |_| {},
        );
    };
    // The first runtime of a process leaves tokio's own pair of sockets behind.
    is_allowed_here(&options(&kubeconfig));
    let open_before = descriptors();
    let stores: Vec<_> = (0..50)
        .map(|number| {
            let cache = if number % 2 == 0 { Cache::None } else { Cache::Exclusive };
            let options = Options::new(format!("m{number}")).kubeconfig(&kubeconfig).cache(cache);
            options.open().unwrap()
        })
        .collect();
    thread::scope(|scope| {
        for store in &stores {
            scope.spawn(|| {
                store.set("k", "v").unwrap();
                store.get("k").unwrap();
            });
        }
    });
    let own = own_threads();
    assert!((1..=4).contains(&own.len()), "{own:?}");
    for (id, name) in &own {
        assert!(name.starts_with("mapstore-"), "{name}");
        let status = fs::read_to_string(format!("/proc/self/task/{id}/status")).unwrap();
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap().trim();
        let blocked = u64::from_str_radix(blocked, 16).unwrap();
        for signal in [libc::SIGPIPE, libc::SIGINT, libc::SIGTERM, libc::SIGCHLD, libc::SIGUSR1, libc::SIGHUP]
        {
            assert!(blocked & (1 << (signal - 1)) != 0, "signal {signal} reaches {name}");
        }
    }
    drop(stores);
    eventually("the threads end", || own_threads().is_empty());
    eventually("the descriptors are closed", || descriptors() <= open_before);
}

/// The dispositions of all signals before and after: no handler was installed.
#[test]
fn no_signal_handler_is_installed() {
    let Some(kubeconfig) = inside() else {
        return alone_with_a_server("no_signal_handler_is_installed", |_| {});
    };
    let caught = || {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let lines = status.lines().filter(|line| line.starts_with("SigCgt") || line.starts_with("SigIgn"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = caught();
    is_allowed_here(&options(&kubeconfig));
    assert_eq!(caught(), before);
}

#[test]
fn idle_threads_end_while_the_store_stays_open() {
    let Some(kubeconfig) = inside() else {
        return alone_with_a_server("idle_threads_end_while_the_store_stays_open", |_| {});
    };
    let store = options(&kubeconfig).open().unwrap();
    store.set("k", "v").unwrap();
    eventually("one thread stays", || own_threads().len() == 1);
    store.set("k", "w").unwrap();
}

#[test]
fn a_thousand_opens_and_closes_leave_nothing() {
    let Some(kubeconfig) = inside() else {
        return alone_with_a_server("a_thousand_opens_and_closes_leave_nothing", |_| {});
    };
    let round = |count: usize| {
        for number in 0..count {
            let store = options(&kubeconfig).open().unwrap();
            if number % 50 == 0 {
                store.set("k", number.to_string()).unwrap();
            }
            if number % 2 == 0 {
                store.close().unwrap();
            }
        }
        eventually("the threads end", || own_threads().is_empty());
    };
    round(100);
    let (threads, open, memory) = (all_threads(), descriptors(), resident());
    round(900);
    assert_eq!(all_threads(), threads);
    assert!(descriptors() <= open, "{} descriptors, {open} before", descriptors());
    let grown = resident().saturating_sub(memory);
    assert!(grown < 8 << 20, "{grown} bytes more than before");
}

fn resident() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    pages.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn dropping_the_last_store_does_not_wait_for_the_network() {
    let Some(kubeconfig) = inside() else {
        let site = Site::dev();
        let gate = Gate::before(site.address());
        let kubeconfig = site.kubeconfig("gate", Some(&gate.url()), None);
        gate.stall(true);
        return alone("dropping_the_last_store_does_not_wait_for_the_network", &kubeconfig, |_| {});
    };
    let store = options(&kubeconfig).timeout(ms(200)).open().unwrap();
    refused("get", store.get("k"), ErrorKind::Deadline);
    on_time("drop", ms(100), || drop(store));
}

/// Runs `child` in a forked process and waits; fails if it doesn't end by itself with success.
fn forked(raw: bool, child: impl FnOnce() -> bool) {
    // SAFETY: both are fork; the child runs Rust code that the allocator's own fork handlers make possible (the raw
    // one: because no other thread of the test allocates at that moment), and never returns from here.
    let pid = match raw {
        true => unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as i32 },
        false => unsafe { libc::fork() },
    };
    assert!(pid >= 0);
    if pid == 0 {
        let good = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).unwrap_or(false);
        // SAFETY: ends the child without the parent's exit handlers.
        unsafe { libc::_exit(if good { 0 } else { 1 }) };
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut status = 0;
    // SAFETY: our own child.
    while unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } == 0 {
        if Instant::now() > deadline {
            // SAFETY: our own child, not yet waited for.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            panic!("the child hangs");
        }
        thread::sleep(ms(5));
    }
    assert_eq!(status, 0, "the child failed");
}

fn survives_a_fork(kubeconfig: &Path, raw: bool) {
    for cache in [Cache::None, Cache::Exclusive] {
        let store = options(kubeconfig).cache(cache).open().unwrap();
        store.set("k", "parent").unwrap();
        forked(raw, || {
            let late = Instant::now() + Duration::from_secs(5);
            for (name, operation) in all_operations() {
                refused(name, operation(&store), ErrorKind::Forked);
            }
            store.close().unwrap();
            refused("get", store.get("k"), ErrorKind::Forked);
            assert_eq!(store.name(), "m");
            drop(store.clone());
            let own = options(kubeconfig).cache(cache).open().unwrap();
            own.set("child", "was here").unwrap();
            assert_eq!(own.get("k").unwrap().as_deref(), Some(&b"parent"[..]));
            // A child of the child.
            forked(raw, || {
                refused("get", own.get("k"), ErrorKind::Forked);
                refused("get", store.get("k"), ErrorKind::Forked);
                options(kubeconfig).open().unwrap().get("k").unwrap().is_some()
            });
            own.set("child", "still is").unwrap();
            drop(own);
            // The parent's, dropped for good in the child.
            // SAFETY: read once here; the child never touches the original again (it ends by _exit).
            drop(unsafe { std::ptr::read(&store) });
            Instant::now() < late
        });
        store.refresh().unwrap();
        assert_eq!(store.get("child").unwrap().as_deref(), Some(&b"still is"[..]));
        store.set("k", "parent again").unwrap();
        store.truncate().unwrap();
    }
}

#[test]
fn a_forked_child_gets_forked_and_can_open_again() {
    let Some(kubeconfig) = inside() else {
        return alone_with_a_server("a_forked_child_gets_forked_and_can_open_again", |_| {});
    };
    survives_a_fork(&kubeconfig, false);
    survives_a_fork(&kubeconfig, true);
}

/// Forked while other threads are in the middle of calls: whatever they hold stays held in the child.
#[test]
fn a_fork_in_the_middle_of_calls() {
    let Some(kubeconfig) = inside() else {
        return alone_with_a_server("a_fork_in_the_middle_of_calls", |_| {});
    };
    let store = options(&kubeconfig).cache(Cache::Exclusive).open().unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        for thread in 0..3 {
            let (store, stop, kubeconfig) = (&store, &stop, &kubeconfig);
            scope.spawn(move || {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    store.set(&format!("k{thread}"), format!("{:?}", Instant::now())).unwrap();
                    if thread == 0 {
                        options(kubeconfig).open().unwrap().get("k1").unwrap();
                    }
                }
            });
        }
        for _ in 0..20 {
            thread::sleep(ms(7));
            forked(false, || {
                refused("set", store.set("k", "v"), ErrorKind::Forked);
                refused("get", store.get("k"), ErrorKind::Forked);
                options(&kubeconfig).timeout(Duration::from_secs(10)).open().unwrap().get("k1").is_ok()
            });
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

/// Writes where a thread's own things are already being destroyed, tokio's among them. Whatever comes of it, the next
/// write of the map has a driver.
#[test]
fn a_write_from_a_thread_local_destructor_does_not_stop_the_others() {
    let Some(kubeconfig) = inside() else {
        let name = "a_write_from_a_thread_local_destructor_does_not_stop_the_others";
        return alone_with_a_server(name, |_| {});
    };
    let store = options(&kubeconfig).timeout(Duration::from_secs(5)).open().unwrap();
    store.set("k", "before").unwrap();
    let (threads, open) = (all_threads(), descriptors());
    let results = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    for number in 0..200 {
        let at_end = AtEnd { store: store.clone(), results: results.clone(), number };
        let opens = number % 10 == 0;
        let kubeconfig = kubeconfig.clone();
        let thread = move || {
            // Registered before the thread's first call: destroyed after whatever that registers.
            at_end.remember();
            at_end.store.get("k").unwrap();
            if opens {
                options(&kubeconfig).open().unwrap();
            }
        };
        thread::spawn(thread).join().unwrap();
        store.set("k", format!("after {number}")).unwrap();
        assert_eq!(results.lock().unwrap().len(), number + 1);
    }
    for result in results.lock().unwrap().iter() {
        result.as_ref().unwrap();
    }
    assert_eq!(store.get("late").unwrap().as_deref(), Some(&b"199"[..]));
    eventually("no thread more", || all_threads() <= threads);
    assert!(descriptors() <= open + 2, "{} descriptors, {open} before", descriptors());
}

/// Writes at the very end of its thread: as a key's destructor of pthread, after all thread-locals.
struct AtEnd {
    store: Store,
    results: std::sync::Arc<std::sync::Mutex<Vec<mapstore::Result<()>>>>,
    number: usize,
}

impl AtEnd {
    fn remember(&self) {
        static KEY: std::sync::OnceLock<libc::pthread_key_t> = std::sync::OnceLock::new();
        let key = KEY.get_or_init(|| {
            let mut key = 0;
            // SAFETY: the key is written to a local; the destructor takes what `set` below gives.
            assert_eq!(unsafe { libc::pthread_key_create(&mut key, Some(at_end)) }, 0);
            key
        });
        let own = AtEnd { store: self.store.clone(), results: self.results.clone(), number: self.number };
        // SAFETY: the key exists.
        unsafe { libc::pthread_setspecific(*key, Box::into_raw(Box::new(own)).cast()) };
    }
}

unsafe extern "C" fn at_end(own: *mut libc::c_void) {
    // SAFETY: from `remember`, once.
    let own = unsafe { Box::from_raw(own.cast::<AtEnd>()) };
    let written = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let written = own.store.set("late", own.number.to_string());
        own.store.force_set("later", "").and(own.store.get("late")).and(written).map(drop)
    }));
    let written = written.unwrap_or_else(|_| panic!("panicked in a destructor"));
    own.results.lock().unwrap().push(written);
}

/// Processes with this word in their command line.
fn processes(word: &str) -> usize {
    let all = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    all.filter(|process| {
        fs::read(process.path().join("cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains(word))
    })
    .count()
}

/// Children of this process, zombies included.
fn children() -> Vec<String> {
    let all = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let own = format!(" {} ", std::process::id());
    all.filter_map(|process| fs::read_to_string(process.path().join("stat")).ok())
        .filter(|stat| {
            let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
            after.get(2..).is_some_and(|after| after.starts_with(&own))
        })
        .collect()
}

#[test]
fn a_hanging_plugin_dies_with_its_children_and_leaves_no_zombie() {
    let Some(kubeconfig) = inside() else {
        let site = Site::dev();
        let script = "sleep 7654.25 & sleep 7654.25 | cat; wait";
        let kubeconfig = site.kubeconfig("plugin", None, Some(plugin(script)));
        return alone("a_hanging_plugin_dies_with_its_children_and_leaves_no_zombie", &kubeconfig, |_| {});
    };
    let store = options(&kubeconfig).open().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            refused("get", store.with(&within(ms(800))).get("k"), ErrorKind::Deadline);
        });
        eventually("the plugin runs", || processes("7654.25") >= 3);
    });
    eventually("the plugin's processes are gone", || processes("7654.25") == 0);
    eventually("no zombie is left", || children().is_empty());
    // The same when the call is cancelled instead.
    let token = mapstore::CancelToken::new();
    let handle = store.with(&mapstore::Call::new().cancel(&token));
    let call = thread::spawn(move || handle.get("k"));
    eventually("the plugin runs", || processes("7654.25") >= 3);
    token.cancel();
    refused("get", call.join().unwrap(), ErrorKind::Cancelled);
    eventually("the plugin's processes are gone", || processes("7654.25") == 0);
    eventually("no zombie is left", || children().is_empty());
}

/// What a plugin prints is the library's business: the host's output stays as it was, and signals reach the plugin.
#[test]
fn a_plugin_that_prints_does_not_show() {
    let Some(kubeconfig) = inside() else {
        let site = Site::dev();
        let token = site.sections().user["token"].as_str().unwrap().to_owned();
        let script = format!(
            "echo visible-complaint >&2; cat; grep -q 'SigBlk:.0*$' /proc/self/status || exit 9; \
             echo '{{\"status\":{{\"token\":\"{token}\"}}}}'"
        );
        let kubeconfig = site.kubeconfig("plugin", None, Some(plugin(&script)));
        return alone("a_plugin_that_prints_does_not_show", &kubeconfig, |_| {});
    };
    let captured = kubeconfig.with_extension("captured");
    let file = fs::File::create(&captured).unwrap();
    let to_file = |fd| {
        // SAFETY: descriptors of this process; the saved one is put back below.
        unsafe {
            let saved = libc::dup(fd);
            libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&file), fd);
            saved
        }
    };
    let saved = [to_file(1), to_file(2)];
    let answer = options(&kubeconfig).open().and_then(|store| store.set("k", "v"));
    // SAFETY: as above.
    unsafe {
        libc::dup2(saved[0], 1);
        libc::dup2(saved[1], 2);
    }
    answer.unwrap();
    assert_eq!(fs::read_to_string(&captured).unwrap(), "");
}

#[test]
fn plugins_work_in_a_host_that_ignores_its_children() {
    let Some(kubeconfig) = inside() else {
        let site = Site::dev();
        let token = site.sections().user["token"].as_str().unwrap().to_owned();
        let script = format!("sleep 0.1; echo '{{\"status\":{{\"token\":\"{token}\"}}}}'");
        let kubeconfig = site.kubeconfig("plugin", None, Some(plugin(&script)));
        return alone("plugins_work_in_a_host_that_ignores_its_children", &kubeconfig, |_| {});
    };
    // SAFETY: this process does nothing else with its children.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    is_allowed_here(&options(&kubeconfig));
    let failing = kubeconfig.with_extension("failing");
    let text =
        fs::read_to_string(&kubeconfig).unwrap().replace("sleep 0.1;", "echo wrong profile >&2; exit 3;");
    fs::write(&failing, text).unwrap();
    let error = refused("get", options(&failing).open().unwrap().get("k"), ErrorKind::Config);
    assert!(error.to_string().contains("plugin"), "{error}");
}

/// SIGPIPE kills by default, as it does in a C program; a server that closes in the middle of a request doesn't.
#[test]
fn a_connection_cut_under_a_large_write_does_not_kill_the_process() {
    let Some(kubeconfig) = inside() else {
        let site = Site::dev();
        // The map is there: what is cut is the write, not the question whether it can be made.
        options(&site.kubeconfig("direct", None, None)).open().unwrap().set("k", "v").unwrap();
        let cutting = mapstore_harness::CloseAfter::before(site.address(), 20_000).unwrap();
        let kubeconfig = site.kubeconfig("cutting", Some(&cutting.https_url()), None);
        return alone("a_connection_cut_under_a_large_write_does_not_kill_the_process", &kubeconfig, |_| {});
    };
    // SAFETY: nothing in this process relies on SIGPIPE being ignored.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let store = options(&kubeconfig).timeout(ms(300)).open().unwrap();
    for _ in 0..10 {
        refused("set", store.set("k", vec![1; 900_000]), ErrorKind::OutcomeUnknown);
    }
}
