//! How often and how soon a request is tried again, always within the caller's
//! deadline. What a failure means is [`crate::server::failure`]'s list:
//!
//! | class        | a read                    | a write                                               |
//! |--------------|---------------------------|-------------------------------------------------------|
//! | `NotDone`    | again, backing off        | again, backing off: nothing happened                  |
//! | `Trust`      | once, with files read anew| once, with files read anew                            |
//! | `Credential` | once, renewed             | once, renewed: nothing happened                       |
//! | `Ambiguous`  | again, on a new connection| the same again if it has a revision, which fences     |
//! | `Final`      | fails                     | fails; 409: without condition and cache at once,      |
//! |              |                           | whatever the revision; else looks and plans anew      |
//!
//! A server that shuts down (429 that closes, 503 with Retry-After) is left at once for a new connection, the first time.
//!
//! Backing off: full jitter under 50 ms, doubled each time, at most 2 s
//! ("Exponential Backoff And Jitter", AWS Architecture Blog), or as long as
//! Retry-After says; after a 409 under 2 ms, doubled each time, at most 50 ms.

use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::host::deadline::{Limits, Progress, Try};
use crate::host::process;
use crate::server::api::Api;
use crate::server::failure::{Class, Failure};

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);

const FIRST_CONFLICT: Duration = Duration::from_millis(2);
const LONGEST_CONFLICT: Duration = Duration::from_millis(50);

/// How long the first try of a call may take before another is made: the pooled
/// connection it used can be dead without anybody knowing, and calls with
/// shorter deadlines may wait behind it.
const PATIENCE: Duration = Duration::from_secs(2);

/// A try that is given less time is a doubt and a new connection for nothing.
const LEAST: Duration = Duration::from_millis(100);

/// With less than this left there is no time for a pause and a try of any use.
const WORTH_A_TRY: Duration = Duration::from_millis(40);

/// The tries of one call, or of a group of writes.
pub(crate) struct Retry {
    deadline: Instant,
    /// The earliest deadline of the calls that wait.
    shortest: Instant,
    tries: u32,
    failures: u32,
    conflicts: u32,
    renewed: bool,
    reread: bool,
    /// A server that shuts down was left for another one, once.
    moved: bool,
}

impl Retry {
    pub fn new(deadline: Instant) -> Self {
        Self::of_many(deadline, deadline)
    }

    /// For calls of which the most patient one waits until `deadline`, and the
    /// least patient one until `shortest`.
    pub fn of_many(deadline: Instant, shortest: Instant) -> Self {
        Retry {
            deadline,
            shortest,
            tries: 0,
            failures: 0,
            conflicts: 0,
            renewed: false,
            reread: false,
            moved: false,
        }
    }

    /// Each try but the last leaves time for another one: the first gets half of
    /// what the least patient caller has, and [`PATIENCE`] at most; later ones
    /// twice as much each time, but half of what is left.
    pub fn next_try(&mut self) -> Try {
        let now = Instant::now();
        let half = |until: Instant| until.saturating_duration_since(now) / 2;
        let patience = PATIENCE * 2u32.pow(self.tries.min(8));
        // A caller with milliseconds left must not make a doubt of everybody's try.
        let least = LEAST.min(half(self.deadline));
        let most = if self.tries == 0 { half(self.shortest).max(least) } else { half(self.deadline) };
        let last = self.tries > 0 && self.left() < PATIENCE;
        let until = if last { self.deadline } else { now + patience.min(most) };
        self.tries += 1;
        Try { until, deadline: self.deadline }
    }

    /// The one try of a request that can't be sent twice. The try isn't given more time: others
    /// wait behind it, and what it came to is looked for afterwards.
    pub fn only_try(&mut self) -> Try {
        self.tries += 1;
        Try { until: Instant::now() + PATIENCE.min(self.left() / 2), deadline: self.deadline }
    }

    /// Waits for the moment to repeat a request that changed nothing. Gives
    /// the failure back if that would not help, or not in time.
    pub async fn again(&mut self, failure: Failure, can_renew: bool) -> Result<(), Failure> {
        let helps = match failure.class() {
            Class::NotDone | Class::Ambiguous => true,
            Class::Trust => !std::mem::replace(&mut self.reread, true),
            Class::Credential if can_renew && !self.renewed => {
                self.renewed = true;
                return Ok(());
            }
            Class::Credential | Class::Final => false,
        };
        if helps && self.pause(&failure).await { Ok(()) } else { Err(failure) }
    }

    /// Backs off, for less towards the end, so that a last try has its time; not
    /// at all after a try that ran out of its time. `false`, at once, if the
    /// deadline would be over by then.
    pub async fn pause(&mut self, after: &Failure) -> bool {
        if after.is_late() {
            return !self.is_over();
        }
        let at_least = match after {
            // The server shuts down; another one may answer, on the new connection that comes next.
            Failure::Refused(refusal) if refusal.leaving && !std::mem::replace(&mut self.moved, true) => {
                return !self.is_over();
            }
            Failure::Refused(refusal) => refusal.retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        self.failures += 1;
        self.sleep(jitter(self.failures, FIRST, LONGEST), at_least).await
    }

    /// Steps back after another writer was faster: for less than after a
    /// failure, since the server is well and the next look is soon out of date again.
    pub async fn yield_to_others(&mut self) -> bool {
        self.conflicts += 1;
        self.sleep(jitter(self.conflicts, FIRST_CONFLICT, LONGEST_CONFLICT), Duration::ZERO).await
    }

    async fn sleep(&self, pause: Duration, at_least: Duration) -> bool {
        let left = self.left();
        let pause = pause.min(left / 2).max(at_least);
        if left < WORTH_A_TRY || pause >= left {
            return false;
        }
        tokio::time::sleep(pause).await;
        true
    }

    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    pub fn is_over(&self) -> bool {
        self.left().is_zero()
    }
}

/// The callers, who are told what a failed try has taught, for the case that the deadline comes
/// next.
pub(crate) trait Callers {
    fn learn(&self, error: &Error);
}

impl Callers for Progress {
    fn learn(&self, error: &Error) {
        Progress::learn(self, error.clone());
    }
}

impl Callers for Limits {
    fn learn(&self, error: &Error) {
        self.progress.learn(error.clone());
    }
}

/// Waits until the request may be repeated, or says why it can't be.
pub(crate) async fn again(
    api: &Api,
    retry: &mut Retry,
    callers: &impl Callers,
    failure: Failure,
    verb: &str,
) -> Result<()> {
    tell(api, callers, &failure, verb);
    retry.again(failure, api.connection().can_renew()).await.map_err(|last| api.error(last, verb))
}

pub(crate) fn tell(api: &Api, callers: &impl Callers, failure: &Failure, verb: &str) {
    if !failure.is_late() {
        callers.learn(&api.error_of(failure, verb));
    }
}

/// Makes a request that changes nothing until there is an answer.
pub(crate) async fn ask<T, F>(
    api: &Api,
    retry: &mut Retry,
    callers: &impl Callers,
    verb: &str,
    request: impl Fn(Try) -> F,
) -> Result<T>
where
    F: Future<Output = Result<T, Failure>>,
{
    loop {
        match request(retry.next_try()).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => again(api, retry, callers, failure, verb).await?,
        }
    }
}

fn jitter(tries: u32, first: Duration, longest: Duration) -> Duration {
    let most = (first * 2u32.pow(tries.saturating_sub(1).min(8))).min(longest);
    let random = u32::from_ne_bytes(process::random());
    most.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_in_its_bounds() {
        for tries in [0, 1, 2, 5, 40, u32::MAX] {
            assert!(jitter(tries, FIRST, LONGEST) <= LONGEST);
            assert!(jitter(tries, FIRST_CONFLICT, LONGEST_CONFLICT) <= LONGEST_CONFLICT);
        }
        assert!(jitter(1, FIRST, LONGEST) <= FIRST);
    }

    /// One lost request of a call with 20 s made calls of 1 s wait for 9.7 s.
    #[test]
    fn the_first_try_is_as_short_as_the_least_patient_caller_needs_it() {
        let now = Instant::now();
        let first = |deadline, shortest| {
            let after = |seconds| now + Duration::from_secs_f64(seconds);
            let mut retry = Retry::of_many(after(deadline), after(shortest));
            let tries: Vec<_> = (0..4).map(|_| retry.next_try().until - now).collect();
            tries.iter().map(|until| until.as_secs_f64()).collect::<Vec<_>>()
        };
        let near = |a: f64, b: f64| (a - b).abs() < 0.2;
        let patient = first(20.0, 20.0);
        assert!(near(patient[0], 2.0) && near(patient[1], 4.0) && near(patient[2], 8.0), "{patient:?}");
        assert!(near(first(20.0, 1.0)[0], 0.5));
        let hurried = first(20.0, 0.002)[0];
        assert!((0.09..0.2).contains(&hurried), "{hurried}");
        let short = first(1.0, 1.0);
        assert!(near(short[0], 0.5) && near(short[1], 1.0), "{short:?}");
    }
}
