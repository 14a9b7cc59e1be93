//! A TCP relay before a server that loses what it is told to lose. It knows nothing of TLS or HTTP.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

pub struct Gate {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    gone: AtomicBool,
    /// Nothing is passed on, in either direction, but everything is kept and passed on later.
    stalled: AtomicBool,
    /// Connections with a lower number are dead: open, and nothing moves.
    frozen_before: AtomicUsize,
    /// So many answers are taken from the server and thrown away, and their connections closed.
    lost_answers: AtomicUsize,
    accepted: AtomicUsize,
    streams: Mutex<Vec<TcpStream>>,
}

impl State {
    fn holds(&self, number: usize) -> bool {
        self.stalled.load(Ordering::SeqCst) || number < self.frozen_before.load(Ordering::SeqCst)
    }
}

impl Gate {
    pub fn before(server: SocketAddr) -> Gate {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let shared = state.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if shared.gone.load(Ordering::SeqCst) {
                    return;
                }
                let number = shared.accepted.fetch_add(1, Ordering::SeqCst);
                connect(&shared, number, client, server);
            }
        });
        Gate { address, state }
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// How many connections came so far.
    pub fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }

    /// The network stops, and goes on where it was.
    pub fn stall(&self, on: bool) {
        self.state.stalled.store(on, Ordering::SeqCst);
    }

    /// The connections there are die without a word; new ones work.
    pub fn freeze_existing(&self) {
        let accepted = self.state.accepted.load(Ordering::SeqCst);
        self.state.frozen_before.store(accepted, Ordering::SeqCst);
    }

    /// The next `count` things a server says are lost, and with each its connection.
    pub fn lose_answers(&self, count: usize) {
        self.state.lost_answers.store(count, Ordering::SeqCst);
    }

    /// How many of them weren't said yet.
    pub fn still_to_lose(&self) -> usize {
        self.state.lost_answers.load(Ordering::SeqCst)
    }

    pub fn cut_existing(&self) {
        for stream in self.state.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.state.gone.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        self.cut_existing();
    }
}

fn connect(state: &Arc<State>, number: usize, client: TcpStream, server: SocketAddr) {
    let Ok(server) = TcpStream::connect(server) else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let mut streams = state.streams.lock().unwrap();
    for (from, to, answers) in [(&client, &server, false), (&server, &client, true)] {
        let (from, to, state) = (from.try_clone().unwrap(), to.try_clone().unwrap(), state.clone());
        thread::spawn(move || pump(&state, number, from, to, answers));
    }
    streams.push(client);
    streams.push(server);
}

fn pump(state: &State, number: usize, mut from: TcpStream, mut to: TcpStream, answers: bool) {
    let _ = from.set_read_timeout(Some(Duration::from_millis(20)));
    let mut chunk = [0; 64 * 1024];
    while !state.gone.load(Ordering::SeqCst) {
        if state.holds(number) {
            thread::sleep(Duration::from_millis(2));
            continue;
        }
        let read = match from.read(&mut chunk) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Ok(0) | Err(_) => break,
            Ok(read) => read,
        };
        let lose = |left: usize| left.checked_sub(1);
        if answers && state.lost_answers.fetch_update(Ordering::SeqCst, Ordering::SeqCst, lose).is_ok() {
            break;
        }
        // What was read just as the network stopped stays in it.
        while !state.gone.load(Ordering::SeqCst) && state.holds(number) {
            thread::sleep(Duration::from_millis(2));
        }
        if to.write_all(&chunk[..read]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
