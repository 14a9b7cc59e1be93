//! The least that a write can cost: `bench-floor SERVER CA.PEM TOKEN NAMESPACE NAME SECONDS`. One thread sends a
//! prebuilt strategic merge patch of one key, of which only the value's digits and the revision change, over one TLS
//! connection, asks for metadata only, and reads the answer's revision. No JSON, no runtime, no retries. managedFields
//! are dropped first, once.
//!
//! With the revision a patch of a large map is faster than without: where the API server's watch cache lags behind
//! etcd, it is refused before the work is done instead of after.

use std::error::Error;
use std::io::{Read, Write, stdin, stdout};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

type Result<T> = std::result::Result<T, Box<dyn Error>>;
type Tls = StreamOwned<ClientConnection, TcpStream>;

const FIELDS: &str = r#"{"metadata":{"managedFields":[{}]}}"#;
const BODY: &str = r#"{"metadata":{"resourceVersion":"REVISION"},"binaryData":{"floor":"DIGITS"}}"#;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [server, ca, token, namespace, name, seconds] = &args[..] else {
        return Err("usage: bench-floor SERVER CA.PEM TOKEN NAMESPACE NAME SECONDS".into());
    };
    let address = server.strip_prefix("https://").ok_or("the server isn't https")?;
    let mut connection = connect(address, ca)?;
    let patch = |body: &str| {
        format!(
            "PATCH /api/v1/namespaces/{namespace}/configmaps/{name} HTTP/1.1\r\n\
             Host: {address}\r\nAuthorization: Bearer {token}\r\nUser-Agent: mapstore-bench-floor\r\n\
             Accept: application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1\r\n\
             Content-Type: application/strategic-merge-patch+json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let mut revision = send(&mut connection, &patch(FIELDS))?;
    let mut set = |number: usize| -> Result<()> {
        let body = BODY.replace("REVISION", &revision).replace("DIGITS", &base64_digits(number));
        revision = send(&mut connection, &patch(&body))?;
        Ok(())
    };
    set(0)?;
    println!("ready");
    stdin().read_line(&mut String::new())?;
    let (started, lasts, mut took) = (Instant::now(), Duration::from_secs_f64(seconds.parse()?), Vec::new());
    while started.elapsed() < lasts {
        let before = Instant::now();
        set(took.len() + 1)?;
        took.push(before.elapsed());
    }
    let mut out = stdout().lock();
    writeln!(out, "{}", started.elapsed().as_micros())?;
    for took in took {
        writeln!(out, "{}", took.as_micros())?;
    }
    Ok(())
}

/// 24 characters that are base64 of 18 bytes, different for each number.
fn base64_digits(number: usize) -> String {
    format!("{number:024}")
}

fn connect(address: &str, ca: &str) -> Result<Tls> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca)? {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    let host = address.rsplit_once(':').ok_or("the server has no port")?.0;
    let client = ClientConnection::new(Arc::new(config), ServerName::try_from(host.to_owned())?)?;
    Ok(StreamOwned::new(client, socket))
}

/// The revision after the request.
fn send(connection: &mut Tls, request: &str) -> Result<String> {
    connection.write_all(request.as_bytes())?;
    connection.flush()?;
    let body = answer(connection)?;
    let revision = body.split(r#""resourceVersion":""#).nth(1).and_then(|rest| rest.split('"').next());
    Ok(revision.ok_or("an answer without a revision")?.to_owned())
}

/// Reads one answer's body; anything but 200 with a length is an error.
fn answer(connection: &mut Tls) -> Result<String> {
    let (mut got, mut buffer) = (Vec::with_capacity(1024), [0; 4096]);
    loop {
        if let Some(end) = got.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = std::str::from_utf8(&got[..end])?;
            if !head.starts_with("HTTP/1.1 200 ") {
                return Err(String::from_utf8_lossy(&got).into_owned().into());
            }
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            let length: usize = length.ok_or("an answer without a length")?.parse()?;
            while got.len() < end + 4 + length {
                take(connection, &mut got, &mut buffer)?;
            }
            return Ok(String::from_utf8(got.split_off(end + 4))?);
        }
        take(connection, &mut got, &mut buffer)?;
    }
}

fn take(connection: &mut Tls, got: &mut Vec<u8>, buffer: &mut [u8]) -> Result<()> {
    match connection.read(buffer)? {
        0 => Err("the server closed the connection".into()),
        read => {
            got.extend_from_slice(&buffer[..read]);
            Ok(())
        }
    }
}
