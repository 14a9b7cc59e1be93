//! Writes: one group at a time. Calls that come while a group is on its way wait
//! in the queue; when the way is free all of them go together, as one patch that
//! carries the revision it was planned on. [`attempt`] is one group's way. One
//! attempt at a time changes the cache, so that the cache's states follow each
//! other as the server's did.

mod attempt;
pub(crate) mod base;
pub(crate) mod budget;
mod desk;
mod draft;
mod driver;
mod group;
mod history;
mod outcome;
mod patch;
mod plan;
pub(crate) mod queue;
mod send;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::host::runtime::Runtime;
use crate::read::cache::CacheCell;
use crate::server::api::Api;
use attempt::Attempt;
pub(crate) use attempt::faster;
use base::Known;
use desk::Desk;
use driver::{Driven, Driver};
use group::Group;
use queue::Request;

pub(crate) struct Writer {
    desk: Desk,
    known: tokio::sync::Mutex<Known>,
    /// See [`Driven::lose_track`].
    lost_track: AtomicBool,
}

impl Writer {
    pub fn new(api: Arc<Api>) -> Self {
        Writer {
            desk: Desk::new(api),
            known: tokio::sync::Mutex::default(),
            lost_track: AtomicBool::new(false),
        }
    }

    /// Takes a request, which will be answered. Never blocks.
    pub fn enqueue(self: &Arc<Self>, request: Request, runtime: &Runtime) {
        if self.desk.queue.push(request) {
            Driver::start(self.clone(), runtime.spawner().clone());
        }
    }

    /// Tells that a caller doesn't wait any more.
    pub fn someone_left(&self) {
        self.desk.queue.leave();
    }

    /// How many groups were written.
    pub fn writes(&self) -> u64 {
        self.desk.writes()
    }

    /// The memory that stores of this map share. What the memory holds counts only after a refresh.
    pub fn cache_for_reading(&self) -> Arc<CacheCell> {
        self.desk.cache_for_reading()
    }
}

impl Driven for Writer {
    async fn drive(&self) {
        let mut known = self.known.lock().await;
        if self.lost_track.swap(false, Ordering::SeqCst) {
            self.desk.forget(&mut known);
        }
        while let Some(requests) = self.desk.queue.next() {
            Attempt::new(&self.desk, &mut known, Group::new(requests)).run().await;
        }
    }

    /// A driver ended in the middle of a change: what is known of the map may be half of it.
    fn lose_track(&self) {
        self.lost_track.store(true, Ordering::SeqCst);
    }

    fn abandon(&self) {
        self.lose_track();
        self.desk.queue.abandon();
    }
}
