//! A loopback port that serves each connection on a thread of its own and takes all of them down when dropped.

use std::collections::HashMap;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What handlers need to know: whether to stop, and who must be told.
#[derive(Debug, Default)]
pub(crate) struct Open {
    stopped: AtomicBool,
    accepted: AtomicUsize,
    streams: Mutex<HashMap<usize, TcpStream>>,
    kept: AtomicUsize,
}

/// A stream that is shut down with the port. It must go with its handler: a second handle keeps a closed socket open.
pub(crate) struct Kept<'a> {
    open: &'a Open,
    number: usize,
}

impl Open {
    pub(crate) fn stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Sleeps in slices, so that a drop doesn't wait. False: stop.
    pub(crate) fn sleep(&self, time: Duration) -> bool {
        let slice = Duration::from_millis(20);
        let mut left = time;
        while !left.is_zero() && !self.stopped() {
            thread::sleep(left.min(slice));
            left = left.saturating_sub(slice);
        }
        !self.stopped()
    }

    pub(crate) fn keep(&self, stream: &TcpStream) -> Kept<'_> {
        let number = self.kept.fetch_add(1, Ordering::SeqCst);
        if let Ok(twin) = stream.try_clone() {
            self.streams.lock().expect("no panic holds it").insert(number, twin);
        }
        if self.stopped() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        Kept { open: self, number }
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        for (_, stream) in self.streams.lock().expect("no panic holds it").drain() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.open.streams.lock().expect("no panic holds it").remove(&self.number);
    }
}

#[derive(Debug)]
pub(crate) struct Port {
    address: SocketAddr,
    open: Arc<Open>,
    acceptor: Option<JoinHandle<()>>,
}

impl Port {
    pub(crate) fn start(serve: impl Fn(TcpStream, &Open) + Send + Sync + 'static) -> std::io::Result<Port> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let open = Arc::new(Open::default());
        let shared = Arc::clone(&open);
        let acceptor = thread::spawn(move || accept(&listener, &shared, &Arc::new(serve)));
        Ok(Port { address, open, acceptor: Some(acceptor) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections came so far.
    pub(crate) fn accepted(&self) -> usize {
        self.open.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.open.stop();
        let _ = TcpStream::connect(self.address); // wakes the acceptor
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn accept<S>(listener: &TcpListener, open: &Arc<Open>, serve: &Arc<S>)
where
    S: Fn(TcpStream, &Open) + Send + Sync + 'static,
{
    for stream in listener.incoming().map_while(Result::ok) {
        if open.stopped() {
            return;
        }
        open.accepted.fetch_add(1, Ordering::SeqCst);
        let (open, serve) = (Arc::clone(open), Arc::clone(serve));
        thread::spawn(move || {
            let _kept = open.keep(&stream);
            serve(stream, &open);
        });
    }
}
