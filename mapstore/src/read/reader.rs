//! Uncached reads: each asks the API server, so each sees every write that was
//! acknowledged before it began. A large map is fetched only if it has changed
//! since the last time, which costs a few hundred bytes to find out.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;
use crate::host::deadline::Try;
use crate::model::Snapshot;
use crate::server::api::Api;
use crate::server::failure::Failure;
use crate::server::retry::{Callers, Retry, ask};

/// From this size on asking first is cheaper: on a real server a read of
/// 900 KiB takes about ten times as long as a look at its metadata.
const WORTH_HOLDING: u64 = 32 << 10;

pub(crate) struct Reader {
    api: Arc<Api>,
    held: Mutex<Option<Snapshot>>,
}

impl Reader {
    pub fn new(api: Arc<Api>) -> Self {
        Reader { api, held: Mutex::default() }
    }

    /// The map as it is now.
    pub async fn read(&self, retry: &mut Retry, callers: &impl Callers) -> Result<Snapshot> {
        ask(&self.api, retry, callers, "get", |at| self.read_once(at)).await
    }

    async fn read_once(&self, at: Try) -> Result<Snapshot, Failure> {
        if let Some(held) = self.held() {
            match self.api.look(at).await? {
                None => return Ok(Snapshot::missing()),
                Some(look) if held.version() == Some(&look.version) => return Ok(held),
                Some(_) => {}
            }
        }
        let snapshot = self.api.read(at).await?;
        let worth = snapshot.totals().object > WORTH_HOLDING;
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = worth.then(|| snapshot.clone());
        Ok(snapshot)
    }

    fn held(&self) -> Option<Snapshot> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
