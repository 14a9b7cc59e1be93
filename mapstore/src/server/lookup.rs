//! Name look-ups. libc's can't be interrupted and takes as long as the name
//! servers' timeouts are; each holds one of the process' few blocking threads.
//! So there is one at a time for a name, whoever asks, and two at most: a
//! thread is left for files, of stores that have nothing to do with it.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
use tokio::sync::{Semaphore, watch};
use tower_service::Service;

use crate::host::blocking;
use crate::host::process::PerProcess;

const AT_ONCE: usize = 2;

/// The resolver of a connector. The resolver holds nothing: the look-ups under way are the
/// process'.
#[derive(Clone)]
pub(crate) struct LookUp;

type Found = Result<Vec<SocketAddr>, Arc<io::Error>>;

struct UnderWay {
    names: Mutex<HashMap<String, watch::Receiver<Option<Found>>>>,
    threads: Arc<Semaphore>,
}

static UNDER_WAY: PerProcess<UnderWay> = PerProcess::new();

impl Default for UnderWay {
    fn default() -> Self {
        UnderWay { names: Mutex::default(), threads: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl UnderWay {
    fn names(&self) -> MutexGuard<'_, HashMap<String, watch::Receiver<Option<Found>>>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service<Name> for LookUp {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(look_up(name.as_str().to_owned(), |name| Ok((name, 0).to_socket_addrs()?.collect())))
    }
}

async fn look_up(
    name: String,
    how: fn(&str) -> io::Result<Vec<SocketAddr>>,
) -> io::Result<std::vec::IntoIter<SocketAddr>> {
    let mut found = join(name, how);
    let found = found.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
    match found {
        Some(Ok(addresses)) => Ok(addresses.into_iter()),
        Some(Err(error)) => Err(io::Error::new(error.kind(), error)),
        None => Err(io::Error::other("the name look-up ended early")),
    }
}

/// The look-up of the name that is under way, or a new one.
fn join(name: String, how: fn(&str) -> io::Result<Vec<SocketAddr>>) -> watch::Receiver<Option<Found>> {
    let under_way = UNDER_WAY.get();
    let mut names = under_way.names();
    if let Some(running) = names.get(&name).filter(|running| running.has_changed().is_ok()) {
        return running.clone();
    }
    let (tell, found) = watch::channel(None);
    names.insert(name.clone(), found.clone());
    tokio::spawn(async move {
        let Ok(thread) = under_way.threads.clone().acquire_owned().await else { return };
        let asked = name.clone();
        let answer = blocking::run(move || {
            let answer = how(&asked);
            // Held until libc is back, not only as long as somebody waits for it.
            drop(thread);
            answer
        });
        let answer = answer.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        under_way.names().remove(&name);
        tell.send_replace(Some(answer.map_err(Arc::new)));
    });
    found
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use super::*;

    static ASKED: AtomicUsize = AtomicUsize::new(0);

    fn slow(_: &str) -> io::Result<Vec<SocketAddr>> {
        ASKED.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(300));
        Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))])
    }

    /// Three names that hang held every blocking thread, and no other store could be opened.
    #[test]
    fn hanging_look_ups_leave_a_thread_for_others() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let started = Instant::now();
            let waiting: Vec<_> =
                (0..9).map(|n| tokio::spawn(look_up(format!("name-{}", n % 3), slow))).collect();
            tokio::time::sleep(Duration::from_millis(50)).await;
            blocking::run(|| ()).await.unwrap();
            assert!(started.elapsed() < Duration::from_millis(250), "{:?}", started.elapsed());
            for found in waiting {
                assert_eq!(found.await.unwrap().unwrap().count(), 1);
            }
        });
        assert_eq!(ASKED.load(Ordering::SeqCst), 3, "one for each name");
    }
}
