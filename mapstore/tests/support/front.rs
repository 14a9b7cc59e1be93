//! A plain HTTP front before a cluster: it passes each request on by itself, so that a test can say for each one
//! whether it reaches the server and what the store hears of it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use mapstore_harness::{Client, Media};
use serde_json::Value as Json;

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub body: Json,
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum Fate {
    Pass,
    /// It reaches the server; the answer is lost and the connection cut.
    AnswerLost,
    /// It reaches the server; half of the answer arrives.
    AnswerCut,
    /// It reaches the server, and the store hears this instead.
    Passed(u16, &'static str),
    /// It doesn't reach the server, and the store hears this instead.
    Instead(u16, &'static str),
    /// It doesn't reach the server; the connection is cut.
    Lost,
    /// It reaches the server after this time; nobody hears the answer.
    Late(Duration),
    /// It doesn't reach the server, and nothing is heard.
    Silence,
}

type Judge = dyn Fn(&Seen) -> Fate + Send + Sync;

pub struct Front {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    judge: Mutex<Arc<Judge>>,
    seen: Mutex<Vec<Seen>>,
    gone: AtomicBool,
    /// Requests that are still to reach the server.
    under_way: AtomicUsize,
}

impl Front {
    pub fn before(kubeconfig: &Path) -> Front {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            client: Client::from_kubeconfig(kubeconfig).unwrap(),
            judge: Mutex::new(Arc::new(|_| Fate::Pass)),
            seen: Mutex::default(),
            gone: AtomicBool::new(false),
            under_way: AtomicUsize::new(0),
        });
        let acceptor = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if acceptor.gone.load(Ordering::SeqCst) {
                    return;
                }
                let shared = acceptor.clone();
                thread::spawn(move || {
                    let _ = serve(&shared, &stream);
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        });
        Front { address, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn judge(&self, judge: impl Fn(&Seen) -> Fate + Send + Sync + 'static) {
        *self.shared.judge.lock().unwrap() = Arc::new(judge);
    }

    /// The first request with this method meets this fate, all others pass.
    pub fn once(&self, method: &'static str, fate: Fate) {
        let met = AtomicBool::new(false);
        self.judge(move |seen| match seen.method == method && !met.swap(true, Ordering::SeqCst) {
            true => fate.clone(),
            false => Fate::Pass,
        });
    }

    /// The requests since the last call; waits for those that are late.
    pub fn seen(&self) -> Vec<Seen> {
        while self.shared.under_way.load(Ordering::SeqCst) > 0 {
            thread::sleep(Duration::from_millis(5));
        }
        std::mem::take(&mut self.shared.seen.lock().unwrap())
    }

    pub fn methods(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.method).collect()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.shared.gone.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(shared: &Shared, mut stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut rest = Vec::new();
    while let Some(seen) = receive(stream, &mut rest)? {
        let judge = shared.judge.lock().unwrap().clone();
        shared.under_way.fetch_add(1, Ordering::SeqCst);
        shared.seen.lock().unwrap().push(seen.clone());
        let fate = judge(&seen);
        if let Fate::Late(delay) = fate {
            thread::sleep(delay);
        }
        let reaches = !matches!(fate, Fate::Instead(..) | Fate::Lost | Fate::Silence);
        let answer = reaches.then(|| pass_on(shared, &seen));
        shared.under_way.fetch_sub(1, Ordering::SeqCst);
        let answer = match (fate, answer) {
            (Fate::Passed(status, body) | Fate::Instead(status, body), _) => text(status, body),
            (Fate::AnswerCut, Some(answer)) => answer[..answer.len() - answer.len() / 3].to_vec(),
            (Fate::Pass, Some(answer)) => answer,
            (Fate::Silence | Fate::Late(_), _) => {
                while !shared.gone.load(Ordering::SeqCst) && stream.peek(&mut [0]).is_ok_and(|n| n > 0) {
                    thread::sleep(Duration::from_millis(5));
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        stream.write_all(&answer)?;
        if !answer.ends_with(b"\n") {
            return Ok(());
        }
    }
    Ok(())
}

fn receive(mut stream: &TcpStream, rest: &mut Vec<u8>) -> std::io::Result<Option<Seen>> {
    let mut chunk = [0; 64 * 1024];
    let end = loop {
        if let Some(at) = rest.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        match stream.read(&mut chunk)? {
            0 => return Ok(None),
            n => rest.extend_from_slice(&chunk[..n]),
        }
    };
    let head = String::from_utf8_lossy(&rest[..end]).into_owned();
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:").map(|n| n.trim().parse()));
    let length: usize = length.and_then(Result::ok).unwrap_or(0);
    while rest.len() < end + length {
        match stream.read(&mut chunk)? {
            0 => return Ok(None),
            n => rest.extend_from_slice(&chunk[..n]),
        }
    }
    let body = serde_json::from_slice(&rest[end..end + length]).unwrap_or_default();
    rest.drain(..end + length);
    let mut words = head.split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    Ok(Some(Seen { method, target, body }))
}

fn pass_on(shared: &Shared, seen: &Seen) -> Vec<u8> {
    let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
    let media = if seen.method == "PATCH" { Media::StrategicMergePatch } else { Media::Json };
    match shared.client.request(&seen.method, path, query, media, &seen.body) {
        Ok(reply) => text(reply.status, &reply.body.to_string()),
        Err(error) => text(503, &error.to_string()),
    }
}

/// Ends with a line feed, so that a whole answer can be told from a cut one.
fn text(status: u16, body: &str) -> Vec<u8> {
    let length = body.len() + 1;
    format!(
        "HTTP/1.1 {status} .\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}\n"
    )
    .into_bytes()
}
