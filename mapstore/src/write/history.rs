//! Finds out what became of a write that got no answer, from what the API
//! server tells of the map since the revision before it: each write leaves an
//! event, even if it was overwritten or the map deleted since.

use std::time::{Duration, Instant};

use crate::host::deadline::Try;
use crate::model::Version;
use crate::server::api::Api;
use crate::server::retry::Retry;
use crate::server::status::Failure;
use crate::write::outcome::{Trace, read_trace};
use crate::write::patch::Patch;

/// How long to listen for an event: those that exist come at once, and a write
/// that the server still works on is over by then.
const LISTEN: Duration = Duration::from_secs(2);

/// A watch that ends without an event is made anew, not too fast.
const ONCE_MORE: Duration = Duration::from_millis(20);

/// What became of it.
#[derive(Debug)]
pub(crate) enum Resolved {
    Applied(Version),
    /// And it won't be any more.
    NotApplied,
    Unknown,
}

/// `since`: the map's version before the write, as far as it is known.
pub(crate) async fn resolve(
    api: &Api,
    patch: &Patch,
    since: Option<&Version>,
    retry: &mut Retry,
) -> Resolved {
    if let Some(since) = since
        && let Some(resolved) = listen(api, patch, since, retry).await
    {
        return resolved;
    }
    look(api, patch, retry).await
}

/// Reads the events. `None`: they can't be had, or don't tell.
async fn listen(api: &Api, patch: &Patch, since: &Version, retry: &mut Retry) -> Option<Resolved> {
    let kind = if patch.base.is_some() { Trace::First } else { Trace::Any };
    let until = Instant::now() + LISTEN.min(retry.left().mul_f64(0.7));
    loop {
        let at = Try { until, deadline: until };
        let verdict = api.trace(at, &since.revision, patch.stamp.is_none(), |event| {
            let ours = match &patch.stamp {
                Some(stamp) => event.look.stamp.as_ref() == Some(stamp),
                None => patch.shows_in(&event.map),
            };
            read_trace(kind, ours && !event.deleted).map(|ours| (ours, event.look.version))
        });
        match verdict.await {
            Ok(Some((true, version))) => return Some(Resolved::Applied(version)),
            Ok(Some((false, _))) => return Some(Resolved::NotApplied),
            // Its answer ends by itself, so that no proxy that collects it keeps it for long.
            Ok(None) if Instant::now() >= until => return None,
            Ok(None) => tokio::time::sleep(ONCE_MORE).await,
            Err(failure) if Instant::now() >= until || !may_pass(&failure) => return None,
            Err(failure) => {
                if !retry.pause(Some(&failure)).await {
                    return None;
                }
            }
        }
    }
}

/// Looks at the map as it is now. That it doesn't show the write proves
/// nothing: another one may have come over it, or it may still be on its way.
async fn look(api: &Api, patch: &Patch, retry: &mut Retry) -> Resolved {
    let at = retry.next_try();
    let seen = match &patch.stamp {
        Some(stamp) => match api.look(at).await {
            Ok(Some(look)) if look.stamp.as_ref() == Some(stamp) => Some(look.version),
            _ => None,
        },
        None => match api.read(at).await {
            Ok(map) if patch.shows_in(&map) => map.version().cloned(),
            _ => None,
        },
    };
    seen.map_or(Resolved::Unknown, Resolved::Applied)
}

/// Not a refusal: the server may be there again in a moment.
fn may_pass(failure: &Failure) -> bool {
    match failure {
        Failure::NotSent(_) | Failure::Silence(_) => true,
        Failure::Refused(refusal) => matches!(refusal.code, 429 | 500 | 502 | 503 | 504),
        Failure::Fatal(_) => false,
    }
}
