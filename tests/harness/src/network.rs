//! Ports that misbehave, for tests of deadlines, retries and SIGPIPE: loopback only, gone when dropped.
//!
//! Each one stands alone (for `http://` servers) or before a real server (`before`), where it passes the TLS
//! handshake on and misbehaves afterwards.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::port::{Open, Port};
use crate::{Error, Result};

/// Accepts every connection, never reads, never answers.
#[derive(Debug)]
pub struct BlackHole(Port);

/// Answers, one byte at a time, and never gets to the end.
#[derive(Debug)]
pub struct TricklePort(Port);

/// Takes a number of bytes of a connection and closes it, in the middle of the request.
#[derive(Debug)]
pub struct CloseAfter(Port);

/// A port that nobody listens on, and nobody else can take as long as this lives.
#[derive(Debug)]
pub struct ClosedPort {
    address: SocketAddr,
    _bound: Socket,
}

impl BlackHole {
    pub fn start() -> Result<BlackHole> {
        Port::start(|stream, open| {
            while open.sleep(Duration::from_secs(3600)) {}
            drop(stream);
        })
        .map(BlackHole)
        .map_err(|e| Error::failed("black hole", e))
    }
}

impl TricklePort {
    /// Speaks plain HTTP: a good status line and an endless body, one byte per `interval`.
    pub fn start(interval: Duration) -> Result<TricklePort> {
        const HEAD: &[u8] =
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999999999\r\n\r\n";
        Port::start(move |mut stream, open| {
            // An answer before its request would be something else.
            if pass(&mut stream, &mut std::io::sink(), 1) == 0 {
                return;
            }
            for byte in HEAD.iter().copied().chain(std::iter::repeat(b' ')) {
                if stream.write_all(&[byte]).is_err() || !open.sleep(interval) {
                    return;
                }
            }
        })
        .map(TricklePort)
        .map_err(|e| Error::failed("trickle port", e))
    }

    /// Passes requests on at once; of what the server sends, `free` bytes per connection at once and then one byte
    /// per `interval`.
    pub fn before(server: SocketAddr, free: usize, interval: Duration) -> Result<TricklePort> {
        Port::start(move |client, open| {
            relay(client, server, open, usize::MAX, |from, to, open| {
                if pass(from, to, free) == free {
                    while open.sleep(interval) && pass(from, to, 1) == 1 {}
                }
            });
        })
        .map(TricklePort)
        .map_err(|e| Error::failed("trickle port", e))
    }
}

impl CloseAfter {
    /// Reads `bytes` and closes with the rest unread: the client's next write gets a reset.
    pub fn start(bytes: usize) -> Result<CloseAfter> {
        Port::start(move |mut stream, _| {
            pass(&mut stream, &mut std::io::sink(), bytes);
        })
        .map(CloseAfter)
        .map_err(|e| Error::failed("closing port", e))
    }

    /// Passes `bytes` of each connection on to the server, and its answers back, then closes both.
    pub fn before(server: SocketAddr, bytes: usize) -> Result<CloseAfter> {
        Port::start(move |client, open| {
            relay(client, server, open, bytes, |from, to, _| {
                pass(from, to, usize::MAX);
            });
        })
        .map(CloseAfter)
        .map_err(|e| Error::failed("closing port", e))
    }
}

impl ClosedPort {
    pub fn reserve() -> Result<ClosedPort> {
        let bind = || -> std::io::Result<ClosedPort> {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
            let address = socket.local_addr()?.as_socket().expect("an IPv4 socket");
            Ok(ClosedPort { address, _bound: socket })
        };
        bind().map_err(|e| Error::failed("closed port", e))
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

macro_rules! port_methods {
    ($($name:ident)*) => {$(
        impl $name {
            pub fn address(&self) -> SocketAddr {
                self.0.address()
            }

            /// For a kubeconfig, when TLS is spoken (to the server behind, if there is one).
            pub fn https_url(&self) -> String {
                format!("https://{}", self.address())
            }

            /// For a kubeconfig, without TLS.
            pub fn http_url(&self) -> String {
                format!("http://{}", self.address())
            }

            /// How many connections came so far.
            pub fn accepted(&self) -> usize {
                self.0.accepted()
            }
        }
    )*};
}

port_methods!(BlackHole TricklePort CloseAfter);

/// Copies up to `limit` bytes and returns how many it got.
fn pass(from: &mut impl Read, to: &mut impl Write, limit: usize) -> usize {
    let mut chunk = [0; 16 * 1024];
    let mut passed = 0;
    while passed < limit {
        let room = chunk.len().min(limit - passed);
        match from.read(&mut chunk[..room]) {
            Ok(n @ 1..) if to.write_all(&chunk[..n]).is_ok() => passed += n,
            _ => break,
        }
    }
    passed
}

/// Joins a client with the server: up to `limit` bytes towards the server, then both ends are closed; `back` moves
/// the answers.
fn relay(
    mut client: TcpStream,
    server: SocketAddr,
    open: &Open,
    limit: usize,
    back: impl FnOnce(&mut TcpStream, &mut TcpStream, &Open) + Send,
) {
    let Ok(mut server) = TcpStream::connect(server) else {
        return;
    };
    let _kept = open.keep(&server);
    let (Ok(mut answers), Ok(mut to_client)) = (server.try_clone(), client.try_clone()) else {
        return;
    };
    thread::scope(|scope| {
        scope.spawn(move || {
            back(&mut answers, &mut to_client, open);
            let _ = to_client.shutdown(Shutdown::Both);
        });
        pass(&mut client, &mut server, limit);
        let _ = server.shutdown(Shutdown::Both);
        let _ = client.shutdown(Shutdown::Both);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_port_refuses() {
        let port = ClosedPort::reserve().unwrap();
        let refused = TcpStream::connect(port.address()).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_black_hole_accepts_and_says_nothing_until_dropped() {
        let hole = BlackHole::start().unwrap();
        let mut stream = TcpStream::connect(hole.address()).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let silence = stream.read(&mut [0]).unwrap_err();
        assert_eq!(silence.kind(), std::io::ErrorKind::WouldBlock);
        assert_eq!(hole.accepted(), 1);
        drop(hole);
        assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
    }

    #[test]
    fn a_trickle_comes_byte_by_byte() {
        let port = TricklePort::start(Duration::from_millis(1)).unwrap();
        let mut stream = TcpStream::connect(port.address()).unwrap();
        stream.write_all(b"G").unwrap();
        let mut head = [0; 15];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK");
    }

    #[test]
    fn a_request_is_cut_after_the_given_bytes() {
        let port = CloseAfter::start(1000).unwrap();
        let mut stream = TcpStream::connect(port.address()).unwrap();
        let cut = (0..10_000).find(|_| stream.write_all(&[0; 1000]).is_err());
        assert!(cut.is_some(), "10 MB went through");
    }

    #[test]
    fn a_port_before_a_server_passes_both_ways_first() {
        let echo = Port::start(|mut stream, _| {
            let mut twin = stream.try_clone().unwrap();
            pass(&mut stream, &mut twin, usize::MAX);
        })
        .unwrap();
        let port = CloseAfter::before(echo.address(), 8).unwrap();
        let mut stream = TcpStream::connect(port.address()).unwrap();
        stream.write_all(b"1234").unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"1234");
        stream.write_all(b"56789").unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.len() <= 4, "{rest:?}");
    }
}
