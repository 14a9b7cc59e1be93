//! Threads for what can only be done blocking: files and name look-ups. At most
//! three in a process, made when they are needed, gone when they are idle.
//! tokio's own pool panics where no thread can be made; this one returns an error.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::error::{Error, ErrorKind, Result};
use crate::host::process::PerProcess;
use crate::host::resources;
use crate::host::thread;

const MOST: usize = 3;
const IDLE: Duration = Duration::from_secs(5);

static POOL: PerProcess<Pool> = PerProcess::new();

/// Runs `work` on a thread that may block. Dropped before `work` began, it doesn't begin.
pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let (sender, receiver) = oneshot::channel();
    POOL.get().submit(Box::new(move || {
        if !sender.is_closed() {
            let _ = sender.send(work());
        }
    }))?;
    receiver.await.map_err(|_| {
        Error::new(ErrorKind::Internal, "runtime", "work with files panicked; please report it as a defect")
    })
}

/// Threads that have nothing to do end now.
pub(crate) fn retire() {
    let pool = POOL.get();
    pool.state().retired += 1;
    pool.changed.notify_all();
}

type Work = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Pool {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Work>,
    threads: usize,
    idle: usize,
    /// How often all idle threads were told to end.
    retired: u64,
}

impl Pool {
    fn submit(&'static self, work: Work) -> Result<()> {
        let mut state = self.state();
        state.waiting.push_back(work);
        if state.waiting.len() <= state.idle {
            self.changed.notify_one();
        } else if state.threads < MOST {
            match thread::spawn(c"mapstore-files", || self.serve()) {
                Ok(()) => state.threads += 1,
                // The threads that are there will come to this work.
                Err(_) if state.threads > 0 => {}
                Err(error) => {
                    state.waiting.pop_back();
                    return Err(resources::no_thread(error));
                }
            }
        }
        Ok(())
    }

    /// The life of a thread.
    fn serve(&self) {
        while let Some(work) = self.next() {
            // A caller that waits for the work learns of a panic: what the work holds is dropped.
            let _ = catch_unwind(AssertUnwindSafe(work));
        }
    }

    /// `None`: the thread has been idle long enough, and isn't counted any more.
    fn next(&self) -> Option<Work> {
        let mut state = self.state();
        let (retired, until) = (state.retired, Instant::now() + IDLE);
        loop {
            if let Some(work) = state.waiting.pop_front() {
                return Some(work);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || state.retired != retired {
                state.threads -= 1;
                return None;
            }
            state.idle += 1;
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            state.idle -= 1;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_at_once_and_no_more_and_a_panic_is_an_error() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static NOW: AtomicUsize = AtomicUsize::new(0);
        static MOST_SEEN: AtomicUsize = AtomicUsize::new(0);
        let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let work = || {
            MOST_SEEN.fetch_max(NOW.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(5));
            NOW.fetch_sub(1, Ordering::SeqCst);
        };
        tokio.block_on(async {
            let all: Vec<_> = (0..9).map(|_| tokio::spawn(run(work))).collect();
            for one in all {
                one.await.unwrap().unwrap();
            }
            assert!((1..=MOST).contains(&MOST_SEEN.load(Ordering::SeqCst)));
            let error = run(|| -> () { panic!("oh") }).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Internal);
            run(|| ()).await.unwrap();
        });
    }
}
