//! A rule that is in force, and what became of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::request::Request;
use super::rule::Rule;
use crate::{Error, Result};

#[derive(Debug)]
pub struct InForce {
    pub rule: Rule,
    matched: AtomicUsize,
    hits: watch::Sender<usize>,
    released: watch::Sender<bool>,
    /// The server's status for each request of this rule that it answered; 0: it got it and gave no answer.
    delivered: watch::Sender<Vec<u16>>,
}

/// A rule in force. It stays in force when this is dropped.
#[derive(Clone, Debug)]
pub struct RuleHandle {
    pub(super) rule: Arc<InForce>,
    pub(super) runtime: Handle,
}

impl InForce {
    pub fn new(rule: Rule) -> Arc<InForce> {
        Arc::new(InForce {
            rule,
            matched: AtomicUsize::new(0),
            hits: watch::Sender::new(0),
            released: watch::Sender::new(false),
            delivered: watch::Sender::new(Vec::new()),
        })
    }

    /// Whether the rule holds for this request; counts it then.
    pub fn takes(&self, request: &Request) -> bool {
        if !self.rule.matches(request) {
            return false;
        }
        let takes = self.rule.holds(self.matched.fetch_add(1, Ordering::SeqCst) + 1);
        if takes {
            self.hits.send_modify(|hits| *hits += 1);
        }
        takes
    }

    pub async fn released(&self) {
        // Ends only with the rule itself, which the caller holds.
        let _ = self.released.subscribe().wait_for(|released| *released).await;
    }

    pub fn release(&self) {
        self.released.send_replace(true);
    }

    pub fn delivered(&self, status: u16) {
        self.delivered.send_modify(|statuses| statuses.push(status));
    }
}

impl RuleHandle {
    /// For what a test waits for: longer than any deadline in it.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// How many requests the rule has been applied to.
    pub fn hits(&self) -> usize {
        *self.rule.hits.borrow()
    }

    /// Waits until it has been applied to a request.
    pub fn wait_hit(&self) -> Result<()> {
        self.wait_hits(1, RuleHandle::PATIENCE)
    }

    pub fn wait_hits(&self, hits: usize, patience: Duration) -> Result<()> {
        let mut seen = self.rule.hits.subscribe();
        let enough = async { tokio::time::timeout(patience, seen.wait_for(|seen| *seen >= hits)).await };
        match self.runtime.block_on(enough) {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Error::failed(
                "proxy",
                format!("no request for {:?} within {patience:?}", self.rule.rule),
            )),
        }
    }

    /// Lets go of what the rule holds, now and later.
    pub fn release(&self) {
        self.rule.release();
    }

    /// Waits until the server has answered a request of this rule, heard or not, and returns its status; 0 if the
    /// server has gone without an answer.
    pub fn wait_delivered(&self) -> Result<u16> {
        let mut delivered = self.rule.delivered.subscribe();
        let first = async {
            tokio::time::timeout(RuleHandle::PATIENCE, delivered.wait_for(|all| !all.is_empty()))
                .await
                .map(|all| all.map(|all| all[0]))
        };
        match self.runtime.block_on(first) {
            Ok(Ok(status)) => Ok(status),
            _ => Err(Error::failed("proxy", format!("nothing was delivered of {:?}", self.rule.rule))),
        }
    }

    /// The server's statuses so far.
    pub fn delivered(&self) -> Vec<u16> {
        self.rule.delivered.borrow().clone()
    }
}
