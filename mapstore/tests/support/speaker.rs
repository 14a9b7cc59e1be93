//! A server of few words: HTTP/1.1, plain or over TLS, that answers each request as a test says and remembers what it
//! was shown. For what no Kubernetes server does, or does only while it shuts down.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DistinguishedName, ServerConfig, ServerConnection, SignatureScheme, StreamOwned};

/// A request, and the connection it came on.
pub struct Asked {
    /// Of all connections, from 0 on.
    pub connection: usize,
    pub head: String,
    /// The client certificate that was shown.
    pub certificate: Option<Vec<u8>>,
}

type Answer = dyn Fn(&Asked) -> String + Send + Sync;

pub struct Speaker {
    address: SocketAddr,
    gone: Arc<AtomicBool>,
    pub asked: Arc<Mutex<Vec<Asked>>>,
    tls: bool,
}

/// Certificate and key, PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
    pub der: Vec<u8>,
}

/// As `openssl req -x509` makes it: CA:TRUE, signed by itself.
pub fn pair(name: &str) -> Pair {
    let mut params = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Pair { certificate: certificate.pem(), key: key.serialize_pem(), der: certificate.der().to_vec() }
}

/// A whole answer.
pub fn answer(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} .\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

/// A map with one value.
pub fn map_with(key: &str, value: &str) -> String {
    let object = serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": {key: value},
        "metadata": {"name": "m", "namespace": "ns", "resourceVersion": "7", "uid": "u"},
    });
    answer(200, "content-type: application/json\r\n", &object.to_string())
}

impl Speaker {
    pub fn plain(answer: impl Fn(&Asked) -> String + Send + Sync + 'static) -> Speaker {
        Speaker::start(None, Arc::new(answer))
    }

    /// Shows `own`, and asks for a client certificate without insisting on one.
    pub fn secured(own: &Pair, answer: impl Fn(&Asked) -> String + Send + Sync + 'static) -> Speaker {
        Speaker::start(Some(tls(own)), Arc::new(answer))
    }

    fn start(tls: Option<Arc<ServerConfig>>, answer: Arc<Answer>) -> Speaker {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let speaker = Speaker {
            address: listener.local_addr().unwrap(),
            gone: Arc::default(),
            asked: Arc::default(),
            tls: tls.is_some(),
        };
        let (gone, asked) = (speaker.gone.clone(), speaker.asked.clone());
        let accepted = AtomicUsize::new(0);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if gone.load(Ordering::SeqCst) {
                    return;
                }
                let connection = accepted.fetch_add(1, Ordering::SeqCst);
                let (tls, answer, asked) = (tls.clone(), answer.clone(), asked.clone());
                thread::spawn(move || serve(stream, tls, connection, &*answer, &asked));
            }
        });
        speaker
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.address)
    }

    /// How many requests came on each connection.
    pub fn by_connection(&self) -> Vec<usize> {
        let asked = self.asked.lock().unwrap();
        let connections = asked.iter().map(|asked| asked.connection + 1).max().unwrap_or(0);
        (0..connections).map(|one| asked.iter().filter(|asked| asked.connection == one).count()).collect()
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn tls(own: &Pair) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = KeyPair::from_pem(&own.key).unwrap().serialize_der();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(Arc::new(Anybody))
        .with_single_cert(
            vec![CertificateDer::from(own.der.clone())],
            PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key)),
        );
    Arc::new(config.unwrap())
}

fn serve(
    stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    connection: usize,
    answer: &Answer,
    asked: &Mutex<Vec<Asked>>,
) {
    let _ = stream.set_nodelay(true);
    match tls {
        None => talk(stream, |_| None, connection, answer, asked),
        Some(config) => {
            let stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
            let shown = |stream: &StreamOwned<ServerConnection, TcpStream>| {
                stream.conn.peer_certificates()?.first().map(|certificate| certificate.to_vec())
            };
            talk(stream, shown, connection, answer, asked);
        }
    }
}

fn talk<S: Read + Write>(
    mut stream: S,
    shown: impl Fn(&S) -> Option<Vec<u8>>,
    connection: usize,
    answer: &Answer,
    asked: &Mutex<Vec<Asked>>,
) {
    while let Some(head) = receive(&mut stream) {
        let request = Asked { connection, head, certificate: shown(&stream) };
        let text = answer(&request);
        asked.lock().unwrap().push(request);
        if stream.write_all(text.as_bytes()).and_then(|()| stream.flush()).is_err() {
            return;
        }
        if text.to_ascii_lowercase().contains("connection: close") {
            return;
        }
    }
}

/// The head of the next request; its body is read and dropped.
fn receive(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return None,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let lower = head.to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    Some(head)
}

/// Whatever client certificate there is will do.
#[derive(Debug)]
struct Anybody;

impl ClientCertVerifier for Anybody {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
