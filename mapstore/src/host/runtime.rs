//! The internal tokio runtime, and the only place that blocks.
//!
//! One I/O thread serves all stores of the process. It blocks every signal: a
//! signal of the host never runs a handler on it, and a connection that the
//! server closed can't raise SIGPIPE in the host (tokio writes without
//! MSG_NOSIGNAL; the signal is sent to the thread that writes). For the same
//! reason nothing is polled on the caller's thread, which only waits. tokio is
//! given a thread instead of making one, because it panics where none can be
//! made; for the same reason tokio is never asked to block ([`blocking`] does).
//!
//! The runtime starts with the first store and ends with the last one. A
//! forked child never touches its parent's: it starts its own.

use std::future::Future;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::error::{Error, ErrorKind, Result};
use crate::host::cancel::Wake;
use crate::host::deadline::{Closing, Limits};
use crate::host::process::{self, PerProcess};
use crate::host::{blocking, resources, startup, thread};

/// How long after the deadline the caller still waits for the I/O thread's
/// own, better informed, verdict.
const GRACE: Duration = Duration::from_millis(25);

/// How many descriptors a runtime takes, with those that tokio keeps for good.
const DESCRIPTORS: usize = 6;
/// How often a waiting caller that has something to look for looks for it.
const SLICE: Duration = Duration::from_millis(50);

/// How long the last store to go waits for the I/O thread to end.
const LAST_WORDS: Duration = Duration::from_millis(15);

/// A handle to the runtime of this process. The last handle to go stops the runtime.
pub(crate) struct Runtime {
    generation: u64,
    spawner: Spawner,
    io: Arc<IoThread>,
}

/// Gives tasks to the I/O thread. Unlike `tokio::spawn` it needs nothing of the
/// calling thread, whose thread-locals may be destroyed: writes come from exit
/// handlers and destructors too.
#[derive(Clone)]
pub(crate) struct Spawner(tokio::runtime::Handle);

impl Spawner {
    #[cfg(test)]
    pub fn of(tokio: &tokio::runtime::Runtime) -> Self {
        Spawner(tokio.handle().clone())
    }

    /// Once the runtime ends, tasks are dropped instead of polled.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.0.spawn(work).abort_handle()
    }
}

static CURRENT: PerProcess<Mutex<Weak<Runtime>>> = PerProcess::new();

impl Runtime {
    /// The runtime of this process, started if there is none.
    pub fn get() -> Result<Arc<Runtime>> {
        refuse_async_context()?;
        let mut current = CURRENT.get().lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = current.upgrade() {
            return Ok(runtime);
        }
        let runtime = Arc::new(start()?);
        *current = Arc::downgrade(&runtime);
        Ok(runtime)
    }

    /// `Forked` in a child of the process that started this runtime.
    pub fn check_fork(&self) -> Result<()> {
        if self.generation == process::generation() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Forked,
            "store",
            "it was opened before this process was forked; open it again in the child",
        ))
    }

    pub fn spawner(&self) -> &Spawner {
        &self.spawner
    }

    /// Runs `work` on the I/O thread and waits for it. Work that comes too late
    /// is dropped, and with it its connection.
    pub fn run<T, F>(&self, limits: &Limits, closing: &Closing, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.wait(limits, closing, |answer| {
            let task = self.spawner.spawn(async move { answer.deliver(work.await) });
            move || task.abort()
        })
    }

    /// Waits for what `start` was given to deliver, the deadline, the cancel token or `close`,
    /// whichever is first. If the answer isn't first, what `start` returned is called.
    pub fn wait<T, S>(
        &self,
        limits: &Limits,
        closing: &Closing,
        start: impl FnOnce(Answer<T>) -> S,
    ) -> Result<T>
    where
        T: Send + 'static,
        S: FnOnce(),
    {
        refuse_async_context()?;
        let waiter = Arc::new(Waiter::<T>::default());
        let wake: Arc<dyn Wake> = waiter.clone();
        if let Some(token) = &limits.cancel {
            token.register(Arc::downgrade(&wake));
        }
        closing.token.register(Arc::downgrade(&wake));
        limits.check(closing)?;

        let stop = start(Answer(waiter.clone()));
        let outcome = waiter.wait(limits, closing);
        if outcome.is_none() {
            // In this order: what the caller is told has to stay true.
            limits.progress.give_up();
            stop();
        }
        outcome.unwrap_or_else(|| Err(limits.verdict(closing)))
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if self.generation != process::generation() {
            // The parent's threads don't exist here: waiting for one would be for ever.
            return;
        }
        self.io.stop.notify_one();
        blocking::retire();
        if tokio::runtime::Handle::try_current().is_err() {
            self.io.wait_for_end(LAST_WORDS);
        }
    }
}

/// The I/O thread, as others see it.
#[derive(Default)]
struct IoThread {
    stop: Notify,
    ended: Mutex<bool>,
    changed: Condvar,
}

impl IoThread {
    /// The life of the thread.
    fn serve(&self, tokio: tokio::runtime::Runtime) {
        tokio.block_on(self.stop.notified());
        drop(tokio);
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    fn wait_for_end(&self, longest: Duration) {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self.changed.wait_timeout_while(ended, longest, |ended| !*ended);
    }
}

fn start() -> Result<Runtime> {
    // Nobody forks meanwhile: tokio has a lock of the whole process.
    let _inside = startup::enter()?;
    let tokio = build()?;
    let spawner = Spawner(tokio.handle().clone());
    let io = Arc::new(IoThread::default());
    let served = io.clone();
    thread::spawn(c"mapstore-io", move || served.serve(tokio)).map_err(resources::no_thread)?;
    Ok(Runtime { generation: process::generation(), spawner, io })
}

fn build() -> Result<tokio::runtime::Runtime> {
    let failed = |error: std::io::Error| {
        resources::no_descriptor(&error).unwrap_or_else(|| {
            Error::new(ErrorKind::Internal, "runtime", format!("can't start it: {error}")).with_source(error)
        })
    };
    // If tokio can't have the two descriptors that it keeps for good it panics, and the panic would
    // be printed.
    resources::descriptors(DESCRIPTORS).map_err(failed)?;
    tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().map_err(failed)
}

/// Blocking on a tokio worker would stop every other task of it, so it is an
/// error in every build. A thread of `spawn_blocking` may block.
pub(crate) fn refuse_async_context() -> Result<()> {
    if tokio::runtime::Handle::try_current().is_err() || !in_async_task() {
        return Ok(());
    }
    Err(Error::invalid(
        "calling thread",
        "mapstore blocks and was called from async code; call it inside tokio::task::spawn_blocking",
    ))
}

/// Whether the current code is polled by a tokio runtime. Tokio has no
/// question for that, but it gives every poll a budget and blocking threads
/// none: a budget that runs out tells.
fn in_async_task() -> bool {
    const MORE_THAN_A_BUDGET: usize = 256;
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    for _ in 0..MORE_THAN_A_BUDGET {
        if !tokio::task::coop::has_budget_remaining() {
            return true;
        }
        match tokio::task::coop::poll_proceed(&mut context) {
            std::task::Poll::Ready(restore) => restore.made_progress(),
            std::task::Poll::Pending => return true,
        }
    }
    false
}

/// A caller that waits for one answer.
struct Waiter<T> {
    state: Mutex<Waiting<T>>,
    changed: Condvar,
}

enum Waiting<T> {
    ForAnswer,
    Answered(Result<T>),
    Woken,
    Taken,
}

impl<T> Default for Waiter<T> {
    fn default() -> Self {
        Waiter { state: Mutex::new(Waiting::ForAnswer), changed: Condvar::new() }
    }
}

impl<T: Send> Wake for Waiter<T> {
    fn wake(&self) {
        self.advance(Waiting::Woken);
    }
}

impl<T> Waiter<T> {
    fn advance(&self, to: Waiting<T>) {
        self.advance_with(|| to);
    }

    fn advance_with(&self, to: impl FnOnce() -> Waiting<T>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, Waiting::ForAnswer) {
            *state = to();
            self.changed.notify_all();
        }
    }

    /// The answer, or `None` if deadline, token or close came first.
    fn wait(&self, limits: &Limits, closing: &Closing) -> Option<Result<T>> {
        let last = limits.deadline + GRACE;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if !matches!(*state, Waiting::ForAnswer) {
                break;
            }
            let left = last.saturating_duration_since(Instant::now());
            if left.is_zero() || limits.is_cancelled() || closing.is_closed() {
                break;
            }
            let slice = if limits.watch.is_some() { left.min(SLICE) } else { left };
            state = self.changed.wait_timeout(state, slice).unwrap_or_else(PoisonError::into_inner).0;
            if let Some(watch) = &limits.watch {
                drop(state);
                watch.ask();
                state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            }
        }
        match std::mem::replace(&mut *state, Waiting::Taken) {
            Waiting::Answered(answer) => Some(answer),
            _ => None,
        }
    }
}

/// The task's side of a waiting caller: answers even if the task panics.
pub(crate) struct Answer<T>(Arc<Waiter<T>>);

impl<T> Answer<T> {
    pub fn deliver(self, answer: Result<T>) {
        self.0.advance(Waiting::Answered(answer));
    }
}

impl<T> Drop for Answer<T> {
    /// Without effect once there is an answer, or nobody waits for it.
    fn drop(&mut self) {
        self.0.advance_with(|| {
            Waiting::Answered(Err(Error::new(
                ErrorKind::Internal,
                "runtime",
                "the I/O task panicked; this is a defect of mapstore, please report it",
            )))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::cancel::CancelToken;
    use crate::host::deadline::{Progress, Stage};

    fn limits(timeout: Duration) -> Limits {
        Limits {
            timeout,
            deadline: Instant::now() + timeout,
            cancel: None,
            watch: None,
            progress: Progress::new(Stage::Reading),
            subject: "test".into(),
        }
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "it is about tokio's own threads")]
    fn async_code_is_refused_and_spawn_blocking_is_not() {
        let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let refused = tokio.block_on(async { refuse_async_context() });
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidArgument);
        tokio.block_on(async {
            tokio::task::spawn_blocking(|| refuse_async_context().unwrap()).await.unwrap();
        });
        assert!(refuse_async_context().is_ok());
        let _entered = tokio.enter();
        assert!(refuse_async_context().is_ok());
    }

    #[test]
    fn work_that_never_ends_ends_at_the_deadline() {
        let runtime = Runtime::get().unwrap();
        let started = Instant::now();
        let limits = limits(Duration::from_millis(50));
        let result: Result<()> = runtime.run(&limits, &Closing::default(), std::future::pending());
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Deadline);
        assert!(started.elapsed() >= Duration::from_millis(50));
    }

    #[test]
    fn an_io_thread_that_is_stuck_does_not_hold_the_caller() {
        let runtime = Runtime::get().unwrap();
        let limits = limits(Duration::from_millis(50));
        let result: Result<()> = runtime.run(&limits, &Closing::default(), async {
            std::thread::sleep(Duration::from_millis(300));
            Ok(())
        });
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Deadline);
    }

    #[test]
    fn a_sent_write_is_unknown_at_the_deadline() {
        let runtime = Runtime::get().unwrap();
        let limits = limits(Duration::from_millis(20));
        limits.progress.set(Stage::InFlight);
        let result: Result<()> = runtime.run(&limits, &Closing::default(), std::future::pending());
        assert_eq!(result.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    }

    #[test]
    fn a_caller_is_asked_while_it_waits_and_can_end_the_call() {
        let runtime = Runtime::get().unwrap();
        let asked = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let seen = asked.clone();
        let caller = std::thread::current().id();
        let wanted: crate::host::cancel::Wanted = Arc::new(move || {
            assert_eq!(std::thread::current().id(), caller);
            seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 2
        });
        let watch = Some(crate::host::cancel::Watch::new(&wanted));
        let limits = Limits { watch, ..limits(Duration::from_secs(20)) };
        let started = Instant::now();
        let result: Result<()> = runtime.run(&limits, &Closing::default(), std::future::pending());
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Cancelled);
        assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 3);
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn cancel_and_close_wake_the_caller() {
        let runtime = Runtime::get().unwrap();
        for close in [false, true] {
            let token = CancelToken::new();
            let closing = Closing::default();
            let limits = Limits { cancel: Some(token.clone()), ..limits(Duration::from_secs(20)) };
            let started = Instant::now();
            let other = closing.clone();
            let thread = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(30));
                if close {
                    other.close();
                } else {
                    token.cancel();
                }
            });
            let result: Result<()> = runtime.run(&limits, &closing, std::future::pending());
            let kind = if close { ErrorKind::Closed } else { ErrorKind::Cancelled };
            assert_eq!(result.unwrap_err().kind(), kind);
            assert!(started.elapsed() < Duration::from_secs(10));
            thread.join().unwrap();
        }
    }
}
