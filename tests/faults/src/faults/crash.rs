//! What befalls whole processes: the API server with its etcd, the connections, a client.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mapstore_harness::Cluster;
use mapstore_harness::proxy::Proxy;

use super::credentials::Credentials;
use super::lottery::Fired;
use crate::model::{Crash, Plan};
use crate::record::now;
use crate::traffic::Worker;

/// Their names, in the order of [`Crash`].
pub const CRASHES: [&str; 7] = [
    "API server and etcd killed",
    "API server stopped for a while",
    "all connections cut",
    "token renewed, the old one not accepted",
    "certificate of another authority",
    "client stopped for a while",
    "client killed",
];

/// Whom it can befall.
#[derive(Clone)]
pub struct Victims {
    pub cluster: Arc<Cluster>,
    pub proxy: Arc<Proxy>,
    pub workers: Vec<Arc<Worker>>,
    pub credentials: Arc<Credentials>,
    pub fired: Arc<Mutex<Vec<Fired>>>,
}

/// The crashes of a history, under way.
pub struct Crashes(JoinHandle<Result<(), String>>);

impl Crashes {
    /// One after the other, in the order of their times. A process that has come to its end isn't stopped any more.
    pub fn start(plan: &Plan, victims: Victims) -> Crashes {
        let mut crashes = plan.crashes.clone();
        crashes.sort_by_key(after);
        let started = Instant::now();
        Crashes(thread::spawn(move || {
            for crash in crashes {
                let due = started + Duration::from_millis(after(&crash));
                thread::sleep(due.saturating_duration_since(Instant::now()));
                victims.crash(&crash)?;
            }
            Ok(())
        }))
    }

    /// Waits for the last of them. The server runs afterwards.
    pub fn finish(self) -> Result<(), String> {
        self.0.join().map_err(|_| "the thread of crashes has panicked".to_owned())?
    }
}

fn after(crash: &Crash) -> u64 {
    match crash {
        Crash::ServerKilled { after }
        | Crash::ServerPaused { after, .. }
        | Crash::ConnectionsCut { after }
        | Crash::TokenRenewed { after }
        | Crash::CertificateRenewed { after }
        | Crash::ClientStopped { after, .. }
        | Crash::ClientKilled { after, .. } => *after,
    }
}

impl Victims {
    fn crash(&self, crash: &Crash) -> Result<(), String> {
        let failed = |error: mapstore_harness::Error| error.to_string();
        match crash {
            Crash::ServerKilled { .. } => {
                self.note(CRASHES[0]);
                self.cluster.kill().map_err(failed)?;
                self.cluster.start_again().map_err(failed)?;
            }
            Crash::ServerPaused { lasts, .. } => {
                self.note(CRASHES[1]);
                self.cluster.pause().map_err(failed)?;
                thread::sleep(Duration::from_millis(*lasts));
                self.cluster.resume().map_err(failed)?;
            }
            Crash::ConnectionsCut { .. } => {
                self.note(CRASHES[2]);
                self.proxy.cut();
            }
            Crash::TokenRenewed { .. } => {
                self.note(CRASHES[3]);
                self.credentials.renew_token(&self.cluster)?;
            }
            Crash::CertificateRenewed { .. } => {
                self.note(CRASHES[4]);
                self.credentials.renew_certificate(&self.proxy)?;
                self.proxy.cut();
            }
            Crash::ClientStopped { process, lasts, .. } => {
                if self.workers[*process].signal(libc::SIGSTOP) {
                    self.note(CRASHES[5]);
                    thread::sleep(Duration::from_millis(*lasts));
                    self.workers[*process].signal(libc::SIGCONT);
                }
            }
            Crash::ClientKilled { process, .. } => {
                if self.workers[*process].signal(libc::SIGKILL) {
                    self.note(CRASHES[6]);
                }
            }
        }
        Ok(())
    }

    fn note(&self, kind: &str) {
        self.fired.lock().unwrap_or_else(PoisonError::into_inner).push(Fired {
            at: now(),
            kind: kind.to_owned(),
            method: String::new(),
            query: String::new(),
        });
    }
}
