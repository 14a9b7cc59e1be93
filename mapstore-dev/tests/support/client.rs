//! The smallest HTTPS client that shows everything of an answer: one
//! connection per request, nothing interpreted, nothing retried.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// A server to talk to.
#[derive(Clone)]
pub struct Endpoint {
    pub address: String,
    config: Arc<ClientConfig>,
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub code: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let found = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, v)| v.as_str()).collect()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

pub type Stream = StreamOwned<ClientConnection, TcpStream>;

impl Endpoint {
    pub fn new(url: &str, ca_pem: &str) -> Endpoint {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
            roots.add(certificate.expect("a CA in PEM")).expect("a usable CA");
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("TLS versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let address = url.strip_prefix("https://").expect("an https URL").to_string();
        Endpoint { address, config: Arc::new(config) }
    }

    pub fn connect(&self) -> io::Result<Stream> {
        let socket = TcpStream::connect(&self.address)?;
        socket.set_read_timeout(Some(Duration::from_secs(60)))?;
        let name = ServerName::try_from("127.0.0.1").map_err(io::Error::other)?;
        let session = ClientConnection::new(Arc::clone(&self.config), name).map_err(io::Error::other)?;
        Ok(StreamOwned::new(session, socket))
    }

    pub fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, String)],
        body: &[u8],
    ) -> io::Result<Answer> {
        self.send_until(method, target, headers, body, usize::MAX)
    }

    /// Reads until the body has so many lines, or to its end.
    pub fn send_until(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, String)],
        body: &[u8],
        lines: usize,
    ) -> io::Result<Answer> {
        let mut stream = self.connect()?;
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.address);
        head.push_str("Connection: close\r\nUser-Agent: compare/1.0\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        stream.write_all(head.as_bytes())?;
        // A server that refuses a body early may close before it has all of it.
        let _ = stream.write_all(body).and_then(|()| stream.flush());
        let mut bytes = Vec::new();
        let mut chunk = vec![0; 64 * 1024];
        loop {
            match stream.read(&mut chunk) {
                Err(e) if bytes.is_empty() => return Err(e),
                Ok(n @ 1..) => bytes.extend_from_slice(&chunk[..n]),
                Ok(0) | Err(_) => return parse(&bytes),
            }
            if let Ok(mut answer) = parse(&bytes)
                && let Some(end) = end_of_line(&answer.body, lines)
            {
                answer.body.truncate(end);
                return Ok(answer);
            }
        }
    }
}

/// Where the line with this number ends, counted from 1.
fn end_of_line(body: &[u8], number: usize) -> Option<usize> {
    let ends = body.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    ends.map(|(at, _)| at + 1).nth(number.checked_sub(1)?)
}

fn parse(bytes: &[u8]) -> io::Result<Answer> {
    let bad = || io::Error::other("not an HTTP answer");
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").ok_or_else(bad)?;
    let head = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = head.split("\r\n");
    let code = lines.next().and_then(|l| l.split(' ').nth(1)).and_then(|c| c.parse().ok());
    let headers: Vec<(String, String)> =
        lines.filter_map(|l| l.split_once(':')).map(|(n, v)| (n.to_string(), v.trim().to_string())).collect();
    let mut answer = Answer { code: code.ok_or_else(bad)?, headers, body: bytes[end + 4..].into() };
    if answer.headers("Transfer-Encoding").contains(&"chunked") {
        answer.body = dechunk(&answer.body);
    }
    Ok(answer)
}

/// The whole chunks there are.
fn dechunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some((chunk, rest)) = chunk(bytes) {
        body.extend_from_slice(chunk);
        bytes = rest;
    }
    body
}

fn chunk(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(2).position(|w| w == b"\r\n")?;
    let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).ok()?.trim(), 16).ok()?;
    Some((bytes.get(end + 2..end + 2 + size)?, bytes.get(end + 4 + size..)?)).filter(|_| size > 0)
}
