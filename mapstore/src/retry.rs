//! What is tried again, and how long that may go on: always within the
//! caller's deadline.
//!
//! | what came back                     | a read                     | a write                              |
//! |------------------------------------|----------------------------|--------------------------------------|
//! | nothing was sent (refused, no DNS) | again, backing off         | again, backing off: nothing happened |
//! | an untrusted certificate           | once, with files read anew | once, with files read anew           |
//! | silence, a cut answer              | again, on a new connection | the same again: its revision fences  |
//! | 500, 502, 503, 504                 | again, backing off         | the same again: its revision fences  |
//! | 429                                | after Retry-After          | after Retry-After: not applied       |
//! | 401, credentials that can be renewed | once, renewed            | once, renewed: not applied           |
//! | 409                                | -                          | looks, plans anew, backing off       |
//! | anything else                      | fails                      | fails                                |
//!
//! Backing off: full jitter under 50 ms, doubled each time, at most 2 s
//! ("Exponential Backoff And Jitter", AWS Architecture Blog).

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::api::Api;
use crate::error::{ErrorKind, Result};
use crate::limits::{Limits, Stage, Try};
use crate::process;
use crate::status::Failure;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);

/// With less than this left there is no time for a pause and a try of any use.
const WORTH_A_TRY: Duration = Duration::from_millis(40);

/// The tries of one call.
pub(crate) struct Retry {
    limits: Arc<Limits>,
    tries: u32,
    renewed: bool,
    reread: bool,
}

impl Retry {
    pub fn new(limits: Arc<Limits>) -> Self {
        Retry { limits, tries: 0, renewed: false, reread: false }
    }

    pub fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// The first try leaves half of the time for another one: the pooled
    /// connection it may have used can be dead without anybody knowing.
    pub fn next_try(&mut self) -> Try {
        let now = Instant::now();
        let deadline = self.limits.deadline;
        let half = now + deadline.saturating_duration_since(now) / 2;
        let until = if self.tries == 0 { half } else { deadline };
        self.tries += 1;
        Try { until, deadline }
    }

    /// Waits for the moment to repeat a request that changed nothing. Gives
    /// the failure back if that would not help, or not in time.
    pub async fn again(&mut self, failure: Failure, can_renew: bool) -> Result<(), Failure> {
        let helps = match &failure {
            Failure::NotSent(error) if error.kind() == ErrorKind::Config => {
                !std::mem::replace(&mut self.reread, true)
            }
            Failure::NotSent(_) | Failure::Silence(_) => true,
            Failure::Refused(refusal) => match refusal.code {
                401 if can_renew && !self.renewed => {
                    self.renewed = true;
                    return Ok(());
                }
                429 => true,
                500 | 502 | 503 | 504 => !refusal.request_too_large(),
                _ => false,
            },
            Failure::Fatal(_) => false,
        };
        if helps && self.pause(Some(&failure)).await { Ok(()) } else { Err(failure) }
    }

    /// Backs off, for less towards the end, so that a last try has its time; not
    /// at all after a try that ran out of its time. `false`, at once, if the
    /// deadline would be over by then.
    pub async fn pause(&self, after: Option<&Failure>) -> bool {
        let at_least = match after {
            Some(Failure::NotSent(error) | Failure::Silence(error))
                if error.kind() == ErrorKind::Deadline =>
            {
                return !self.is_over();
            }
            Some(Failure::Refused(refusal)) => refusal.retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        let left = self.limits.deadline.saturating_duration_since(Instant::now());
        let pause = jitter(self.tries).min(left / 2).max(at_least);
        if left < WORTH_A_TRY || pause >= left {
            return false;
        }
        tokio::time::sleep(pause).await;
        true
    }

    pub fn is_over(&self) -> bool {
        Instant::now() >= self.limits.deadline
    }
}

/// Waits until the request may be repeated, or says why the call fails: if the
/// last try ran out of time, or a write is in doubt, that is what it says.
pub(crate) async fn again(api: &Api, retry: &mut Retry, failure: Failure, verb: &str) -> Result<()> {
    let Err(last) = retry.again(failure, api.connection().can_renew()).await else { return Ok(()) };
    let error = api.error(last, verb);
    let limits = retry.limits();
    let overdue = error.kind() == ErrorKind::Deadline || limits.progress.is(Stage::InFlight);
    Err(if overdue { limits.overdue(Some(&error)) } else { error })
}

/// Makes a request that changes nothing until there is an answer.
pub(crate) async fn ask<T, F>(
    api: &Api,
    retry: &mut Retry,
    verb: &str,
    request: impl Fn(Try) -> F,
) -> Result<T>
where
    F: Future<Output = Result<T, Failure>>,
{
    loop {
        match request(retry.next_try()).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => again(api, retry, failure, verb).await?,
        }
    }
}

fn jitter(tries: u32) -> Duration {
    let most = (FIRST * 2u32.pow(tries.saturating_sub(1).min(8))).min(LONGEST);
    let random = u32::from_ne_bytes(process::random());
    most.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_in_its_bounds() {
        for tries in [0, 1, 2, 5, 40, u32::MAX] {
            assert!(jitter(tries) <= LONGEST);
        }
        assert!(jitter(1) <= FIRST);
    }
}
