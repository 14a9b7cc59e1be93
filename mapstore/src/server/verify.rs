//! Whether a store could work: reads, and asks the API server what it would
//! say to a write, without making one.

use serde_json::json;

use crate::error::Result;
use crate::host::deadline::Try;
use crate::server::api::{Api, Write};
use crate::server::failure::Failure;
use crate::server::retry::{Callers, Retry, again};

/// Reads the map's metadata, tries an empty patch and, if there is no map, its
/// creation; both as dry runs, which check authorization, admission and quota
/// (<https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run>).
pub(crate) async fn verify(api: &Api, retry: &mut Retry, callers: &impl Callers) -> Result<()> {
    loop {
        let at = retry.next_try();
        match verify_once(api, at).await {
            Ok(()) => return Ok(()),
            Err((failure, verb)) => again(api, retry, callers, failure, verb).await?,
        }
    }
}

async fn verify_once(api: &Api, at: Try) -> Result<(), (Failure, &'static str)> {
    let exists = api.look(at).await.map_err(|failure| (failure, "get"))?.is_some();
    let patched = may_change(api.rehearse(at, Write::Patch, &json!({})).await);
    if let Err(refused) = patched {
        if !is_not_authorized(&refused) {
            return Err((refused, "patch"));
        }
        match update(api, at).await {
            Ok(()) => {}
            Err(failure) if is_not_authorized(&failure) => return Err((refused, "patch")),
            Err(failure) => return Err((failure, "update")),
        }
    }
    if exists {
        return Ok(());
    }
    match api.rehearse(at, Write::Create, &api.bare_object()).await {
        Err(Failure::Refused(refusal)) if refusal.already_exists() => Ok(()),
        created => created.map_err(|failure| (failure, "create")),
    }
}

fn is_not_authorized(failure: &Failure) -> bool {
    matches!(failure, Failure::Refused(refusal) if refusal.not_authorized())
}

/// Where patch isn't granted, update will do.
async fn update(api: &Api, at: Try) -> Result<(), Failure> {
    let object = api.read_object(at).await?.map(|object| object.json);
    let body = object.unwrap_or_else(|| api.bare_object());
    may_change(api.rehearse(at, Write::Replace, &body).await)
}

/// Authorization comes before the look-up: a missing map says that the verb is
/// allowed, and a conflict that somebody else wrote just now.
fn may_change(answer: Result<(), Failure>) -> Result<(), Failure> {
    match answer {
        Err(Failure::Refused(refusal)) if refusal.object_missing() || refusal.is_conflict() => Ok(()),
        answer => answer,
    }
}
