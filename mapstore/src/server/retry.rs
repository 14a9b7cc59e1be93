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
//! | of a server that shuts down: 429   | first at once, on a new    | the same                             |
//! | that closes, 503 with Retry-After  | connection, then so        |                                      |
//! | 401, credentials that can be renewed | once, renewed            | once, renewed: not applied           |
//! | 409                                | -                          | without condition and cache: at once, |
//! |                                    |                            | whatever the revision; else looks and |
//! |                                    |                            | plans anew, backing off a little      |
//! | anything else                      | fails                      | fails                                |
//!
//! Backing off: full jitter under 50 ms, doubled each time, at most 2 s
//! ("Exponential Backoff And Jitter", AWS Architecture Blog); after a 409 under
//! 2 ms, doubled each time, at most 50 ms.

use std::time::{Duration, Instant};

use crate::error::{ErrorKind, Result};
use crate::host::deadline::Try;
use crate::host::process;
use crate::server::api::Api;
use crate::server::status::Failure;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);

const FIRST_CONFLICT: Duration = Duration::from_millis(2);
const LONGEST_CONFLICT: Duration = Duration::from_millis(50);

/// With less than this left there is no time for a pause and a try of any use.
const WORTH_A_TRY: Duration = Duration::from_millis(40);

/// The tries of one call, or of a group of writes.
pub(crate) struct Retry {
    deadline: Instant,
    tries: u32,
    conflicts: u32,
    renewed: bool,
    reread: bool,
    /// A server that shuts down was left for another one, once.
    moved: bool,
}

impl Retry {
    pub fn new(deadline: Instant) -> Self {
        Retry { deadline, tries: 0, conflicts: 0, renewed: false, reread: false, moved: false }
    }

    /// The first try leaves half of the time for another one: the pooled
    /// connection it may have used can be dead without anybody knowing.
    pub fn next_try(&mut self) -> Try {
        let now = Instant::now();
        let deadline = self.deadline;
        let half = now + deadline.saturating_duration_since(now) / 2;
        let until = if self.tries == 0 { half } else { deadline };
        self.tries += 1;
        Try { until, deadline }
    }

    /// Waits for the moment to repeat a request that changed nothing. Gives
    /// the failure back if that would not help, or not in time.
    pub async fn again(&mut self, failure: Failure, can_renew: bool) -> Result<(), Failure> {
        let helps = match &failure {
            Failure::NotSent(error)
                if matches!(error.kind(), ErrorKind::Config | ErrorKind::Unauthorized) =>
            {
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
    pub async fn pause(&mut self, after: Option<&Failure>) -> bool {
        let at_least = match after {
            Some(Failure::NotSent(error) | Failure::Silence(error))
                if error.kind() == ErrorKind::Deadline =>
            {
                return !self.is_over();
            }
            // It shuts down; another one may answer, on the new connection that comes next.
            Some(Failure::Refused(refusal))
                if refusal.leaving && !std::mem::replace(&mut self.moved, true) =>
            {
                return !self.is_over();
            }
            Some(Failure::Refused(refusal)) => refusal.retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        self.sleep(jitter(self.tries, FIRST, LONGEST), at_least).await
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

/// Waits until the request may be repeated, or says why it can't be.
pub(crate) async fn again(api: &Api, retry: &mut Retry, failure: Failure, verb: &str) -> Result<()> {
    retry.again(failure, api.connection().can_renew()).await.map_err(|last| api.error(last, verb))
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
}
