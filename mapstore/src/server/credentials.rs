//! The credentials of a connection: obtained once for all who need them, when
//! they are first needed, have expired or were refused.
//!
//! Whoever needs them joins what is under way, a **renewal** (a run of a plugin,
//! a look into a token file), and keeps a deadline of its own. A renewal ends
//! when nobody waits for it any more. One that takes too long for somebody who
//! joined it gets a second one beside it, and the first success serves all: a
//! plugin that hangs once holds nobody but its own caller.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use k8s_openapi::jiff::Timestamp;
use tokio::sync::watch;

use crate::config::exec::{Complaints, ExecCredential};
use crate::config::{Auth, read_token};
use crate::error::{Error, ErrorKind, Result};
use crate::host::blocking;
use crate::server::tls::Identity;

/// How long a token file is trusted; the kubelet renews tokens well before they expire.
const REREAD: Duration = Duration::from_secs(60);

/// A token file that can't be used right now, while an old token still does.
const REREAD_SOON: Duration = Duration::from_secs(10);

/// A file that is being replaced may be empty or missing for a moment.
pub(crate) const SWAP: Duration = Duration::from_millis(500);
pub(crate) const SWAP_PAUSE: Duration = Duration::from_millis(25);

/// A plugin's credential is renewed this long before it expires.
const EARLY: Duration = Duration::from_secs(10);

/// A credential is not renewed more often than this: some live for seconds only.
const BETWEEN_RUNS: Duration = Duration::from_secs(5);

/// Renewals side by side.
const MOST: usize = 2;

#[derive(Clone)]
pub(crate) struct Credential {
    pub authorization: Option<HeaderValue>,
    pub identity: Option<Identity>,
    /// `None`: for good.
    fresh_until: Option<Instant>,
    /// Tells this credential from every other one that was obtained.
    pub number: u64,
}

pub(crate) struct Credentials {
    auth: Auth,
    origin: String,
    state: Arc<Mutex<State>>,
    /// Counts the renewals that are over.
    news: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    current: Option<Credential>,
    /// How many credentials were obtained.
    obtained: u64,
    renewals: Vec<Weak<Renewal>>,
}

/// One try to obtain credentials. It ends when the last caller that waits for it has left.
struct Renewal {
    shared: Arc<Shared>,
    task: tokio::task::AbortHandle,
}

#[derive(Default)]
struct Shared {
    /// Why the renewal failed; a success is the state's current credential.
    failure: OnceLock<Error>,
    complaints: Complaints,
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Credentials {
    pub fn new(auth: Auth, origin: String) -> Credentials {
        Credentials { auth, origin, state: Arc::default(), news: watch::Sender::new(0) }
    }

    /// Whether other credentials can be had than those just refused.
    pub fn can_renew(&self) -> bool {
        matches!(self.auth, Auth::TokenFile(_) | Auth::Exec(_))
    }

    /// The credential with this number was refused.
    pub fn refused(&self, number: u64) {
        let mut state = lock(&self.state);
        state.current.take_if(|current| current.number == number);
    }

    /// The credential to send, renewed if it has to be.
    pub async fn get(&self, deadline: Instant) -> Result<Credential> {
        let mut news = self.news.subscribe();
        let (mut renewals, since, joined) = {
            let mut state = lock(&self.state);
            if let Some(fresh) = state.current.as_ref().filter(|current| !current.is_stale()) {
                return Ok(fresh.clone());
            }
            let running = state.running();
            let joined = !running.is_empty();
            (if joined { running } else { vec![self.start(&mut state)] }, state.obtained, joined)
        };
        let mut second = joined.then(|| Instant::now() + left(deadline) / 2);
        loop {
            news.borrow_and_update();
            if let Some(over) = self.look_at(&renewals, since) {
                return over;
            }
            let impatient = async {
                match second {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = news.changed() => {}
                () = impatient => {
                    second = None;
                    self.start_another(&mut renewals);
                }
                () = tokio::time::sleep_until(deadline.into()) => return Err(self.too_slow(&renewals)),
            }
        }
    }

    fn start_another(&self, renewals: &mut Vec<Arc<Renewal>>) {
        let mut state = lock(&self.state);
        let running = state.running();
        renewals.retain(|known| !running.iter().any(|one| Arc::ptr_eq(one, known)));
        renewals.extend(running);
        if renewals.len() < MOST {
            renewals.push(self.start(&mut state));
        }
    }

    fn start(&self, state: &mut State) -> Arc<Renewal> {
        let shared = Arc::new(Shared::default());
        let (auth, origin) = (self.auth.clone(), self.origin.clone());
        let (inside, all, news) = (shared.clone(), self.state.clone(), self.news.clone());
        let task = tokio::spawn(async move {
            match obtain(auth, &origin, &inside.complaints).await {
                Ok(credential) => {
                    let mut state = lock(&all);
                    state.obtained += 1;
                    state.current = Some(Credential { number: state.obtained, ..credential });
                }
                Err(failure) => drop(inside.failure.set(failure)),
            }
            news.send_modify(|over| *over += 1);
        });
        let renewal = Arc::new(Renewal { shared, task: task.abort_handle() });
        state.renewals.push(Arc::downgrade(&renewal));
        renewal
    }

    /// What this means for somebody who waits for these: a success of any
    /// renewal since then, were it expired already, or a failure when there is
    /// none left to hope for.
    fn look_at(&self, renewals: &[Arc<Renewal>], since: u64) -> Option<Result<Credential>> {
        let mut state = lock(&self.state);
        if let Some(current) = state.current.as_ref().filter(|current| current.number > since) {
            return Some(Ok(current.clone()));
        }
        let failures: Option<Vec<_>> = renewals.iter().map(|renewal| renewal.shared.failure.get()).collect();
        let failure = failures?.first().map(|failure| (*failure).clone())?;
        Some(state.old_token(&self.auth).ok_or(failure))
    }

    fn too_slow(&self, renewals: &[Arc<Renewal>]) -> Error {
        match (&self.auth, renewals.first()) {
            (Auth::Exec(plugin), Some(renewal)) => plugin.too_slow(&renewal.shared.complaints),
            (Auth::TokenFile(file), _) => Error::new(
                ErrorKind::Deadline,
                format!("token file {file:?}"),
                "it could not be read before the deadline",
            ),
            _ => Error::new(ErrorKind::Deadline, &self.origin, "no credentials before the deadline"),
        }
    }
}

impl State {
    fn running(&mut self) -> Vec<Arc<Renewal>> {
        self.renewals.retain(|renewal| renewal.strong_count() > 0);
        let alive = self.renewals.iter().filter_map(Weak::upgrade);
        alive
            .filter(|renewal| !renewal.task.is_finished() && renewal.shared.failure.get().is_none())
            .collect()
    }

    /// A token file that can't be read right now: the token known may still do.
    fn old_token(&mut self, auth: &Auth) -> Option<Credential> {
        let current = self.current.as_mut().filter(|_| matches!(auth, Auth::TokenFile(_)))?;
        current.fresh_until = Some(Instant::now() + REREAD_SOON);
        Some(current.clone())
    }
}

async fn obtain(auth: Auth, origin: &str, complaints: &Complaints) -> Result<Credential> {
    match &auth {
        Auth::None => Ok(Credential::for_good(None)),
        Auth::Token(token) => Ok(Credential::for_good(Some(bearer(token, origin)?))),
        Auth::Basic { user, password } => {
            let text = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            Ok(Credential::for_good(Some(header(&text, origin)?)))
        }
        Auth::TokenFile(file) => {
            let token = token_in(file).await?;
            let authorization = Some(bearer(&token, &format!("token file {file:?}"))?);
            Ok(Credential {
                fresh_until: Some(Instant::now() + REREAD),
                ..Credential::for_good(authorization)
            })
        }
        Auth::Exec(plugin) => Credential::from_plugin(plugin.run(complaints).await?, origin),
    }
}

/// Looks again for a moment if the file is missing or empty: it may be replaced just now.
async fn token_in(file: &std::path::Path) -> Result<String> {
    let until = Instant::now() + SWAP;
    loop {
        let abandoned = Abandoned::default();
        let (path, flag) = (file.to_owned(), abandoned.0.clone());
        let token = blocking::run(move || read_token(&path, || flag.load(Ordering::Relaxed))).await?;
        if token.is_ok() || Instant::now() >= until {
            return token;
        }
        tokio::time::sleep(SWAP_PAUSE).await;
    }
}

impl Credential {
    fn for_good(authorization: Option<HeaderValue>) -> Self {
        Credential { authorization, identity: None, fresh_until: None, number: 0 }
    }

    fn from_plugin(answer: ExecCredential, origin: &str) -> Result<Self> {
        let authorization = answer.token.map(|token| bearer(&token, origin)).transpose()?;
        let fresh_until = answer.expires.map(|expires| Instant::now() + use_for(expires, Timestamp::now()));
        Ok(Credential { authorization, identity: answer.identity, fresh_until, number: 0 })
    }

    fn is_stale(&self) -> bool {
        self.fresh_until.is_some_and(|until| Instant::now() >= until)
    }
}

/// How long a credential is used before the plugin is asked again.
fn use_for(expires: Timestamp, now: Timestamp) -> Duration {
    let left = Duration::try_from(expires.duration_since(now)).unwrap_or_default();
    left.saturating_sub(EARLY).max(left.min(BETWEEN_RUNS))
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// Tells the thread that reads a file that nobody waits for it any more.
#[derive(Default)]
struct Abandoned(Arc<AtomicBool>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn bearer(token: &str, origin: &str) -> Result<HeaderValue> {
    header(&format!("Bearer {token}"), origin)
}

fn header(text: &str, origin: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        Error::config(origin, "the credential has characters that an HTTP header can't carry")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_that_lives_for_seconds_is_used_for_seconds() {
        let now = Timestamp::now();
        let used = |seconds| use_for(now + Duration::from_secs(seconds), now);
        assert_eq!(used(3600).as_secs(), 3590);
        assert_eq!(used(8).as_secs(), 5);
        assert_eq!(used(14).as_secs(), 5);
        assert_eq!(used(16).as_secs(), 6);
        assert_eq!(used(3).as_secs(), 3);
        let past: Timestamp = "2020-02-02T02:02:02Z".parse().unwrap();
        assert_eq!(use_for(past, Timestamp::now()), Duration::ZERO);
    }
}
