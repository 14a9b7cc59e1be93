//! How a connection is secured: who is believed to be the server, and as whom
//! this process shows itself. Nothing process-wide is asked or installed:
//! the host may have a crypto provider of its own.
//!
//! rustls' own verifier (webpki) decides about certificates, with one addition:
//! a server that shows exactly a certificate of the configured authority is
//! believed, if it is valid now and for the name, as in Go. webpki knows no such
//! thing, and `openssl req -x509` makes such certificates.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::config::AuthInfo;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
};
use secrecy::ExposeSecret;

use crate::config::roots::SystemRoots;
use crate::config::{Cluster, pem};
use crate::error::{Error, Result};
use crate::server::x509;

/// Certificate and key, PEM.
pub(crate) type Identity = (String, String);

/// The files that a connection is made from; others by now mean a new one.
pub(crate) fn files(cluster: &Cluster) -> Vec<PathBuf> {
    let info = &cluster.kube.auth_info;
    let own = |file: &Option<String>, data: bool| file.clone().filter(|_| !data).map(PathBuf::from);
    let certificate = own(&info.client_certificate, given(&info.client_certificate_data).is_some());
    let key = own(&info.client_key, info.client_key_data.is_some());
    [cluster.kube.root_cert_file.clone(), certificate, key].into_iter().flatten().collect()
}

/// Whether the client certificate comes from files, which may be others by now.
pub(crate) fn has_client_files(cluster: &Cluster) -> bool {
    let info = &cluster.kube.auth_info;
    info.client_certificate.as_ref().is_some_and(|file| !file.is_empty())
        && given(&info.client_certificate_data).is_none()
}

/// For connections to the API server. Reads the certificate files; blocks.
pub(crate) fn to_server(cluster: &Cluster, identity: Option<&Identity>) -> Result<ClientConfig> {
    let own;
    let identity = match identity {
        Some(given) => Some(given),
        None => {
            own = client_identity(&cluster.kube.auth_info, &cluster.origin)?;
            own.as_ref()
        }
    };
    let failed = |error: rustls::Error| cannot(&cluster.origin, error);
    let provider = provider();
    let verifier: Arc<dyn ServerCertVerifier> = if cluster.kube.accept_invalid_certs || is_plain(cluster) {
        Arc::new(AnyCertificate)
    } else {
        Arc::new(Verifier::new(authorities(cluster)?, Whose::Server, &cluster.origin, &provider)?)
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match identity {
        None => Ok(config.with_no_client_auth()),
        Some((certificate, key)) => {
            let (chain, key) = parse_identity(certificate, key, &cluster.origin)?;
            let why = weakness_of(&chain);
            config.with_client_auth_cert(chain, key).map_err(|error| {
                let why = why.unwrap_or_else(|| error.to_string());
                Error::config(
                    &cluster.origin,
                    format!("the client certificate and its key can't be used: {why}"),
                )
            })
        }
    }
}

/// For connections to an https proxy: the system decides who that is, and the
/// client certificate isn't its business. Blocks.
pub(crate) fn to_proxy(roots: &SystemRoots) -> Result<ClientConfig> {
    let subject = "https proxy";
    let provider = provider();
    let verifier = Verifier::new(roots.load(), Whose::Proxy, subject, &provider)?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| cannot(subject, error))?;
    Ok(config.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn cannot(origin: &str, error: rustls::Error) -> Error {
    Error::config(origin, format!("can't set up TLS: {error}")).with_source(error)
}

/// Whose certificates are looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Whose {
    Server,
    Proxy,
}

/// Without TLS nobody shows a certificate.
fn is_plain(cluster: &Cluster) -> bool {
    cluster.kube.cluster_url.scheme_str() == Some("http")
}

/// Whom to believe: the configured authority, or the system's.
fn authorities(cluster: &Cluster) -> Result<Vec<Vec<u8>>> {
    let (kube, origin) = (&cluster.kube, &cluster.origin);
    let own = match (&kube.root_cert_file, &kube.root_cert) {
        (Some(file), _) => pem::certificates(&read(file, origin)?),
        (None, Some(own)) => own.clone(),
        (None, None) => return Ok(cluster.system_roots.load()),
    };
    if own.is_empty() {
        return Err(Error::config(origin, "its certificate-authority holds no certificate in PEM form"));
    }
    Ok(own)
}

fn read(file: &Path, origin: &str) -> Result<Vec<u8>> {
    std::fs::read(file).map_err(|error| Error::config(origin, format!("can't read {file:?}: {error}")))
}

fn given(field: &Option<String>) -> Option<&str> {
    field.as_deref().filter(|text| !text.is_empty())
}

/// The client certificate of a kubeconfig; data win over files, as in kubectl.
fn client_identity(info: &AuthInfo, origin: &str) -> Result<Option<Identity>> {
    let key = info.client_key_data.as_ref().map(|key| key.expose_secret().to_owned());
    let certificate =
        part(&info.client_certificate_data, &info.client_certificate, "client-certificate", origin)?;
    let Some(certificate) = certificate else { return Ok(None) };
    match part(&key, &info.client_key, "client-key", origin)? {
        Some(key) => Ok(Some((certificate, key))),
        None => Err(Error::config(origin, "the user has a client-certificate and no client-key")),
    }
}

fn part(data: &Option<String>, file: &Option<String>, name: &str, origin: &str) -> Result<Option<String>> {
    let bytes = match (given(data), given(file)) {
        (Some(data), _) => {
            let text: String = data.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
            STANDARD.decode(text).map_err(|_| Error::config(origin, format!("{name}-data is not base64")))?
        }
        (None, Some(file)) => read(Path::new(file), origin)?,
        (None, None) => return Ok(None),
    };
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

fn parse_identity(
    certificate: &str,
    key: &str,
    origin: &str,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let wrong = |what: &str| Error::config(origin, what);
    let chain: Vec<_> =
        pem::certificates(certificate.as_bytes()).into_iter().map(CertificateDer::from).collect();
    if chain.is_empty() {
        return Err(wrong("the client certificate holds no certificate in PEM form"));
    }
    let keys = pem::blocks(key.as_bytes());
    if keys.iter().any(|block| block.encrypted || block.label == "ENCRYPTED PRIVATE KEY") {
        return Err(wrong(
            "the client key is encrypted, and nobody can be asked for its passphrase: store it decrypted \
             (openssl pkey)",
        ));
    }
    let key = keys.into_iter().find_map(|block| match block.label.as_str() {
        "PRIVATE KEY" => Some(PrivateKeyDer::Pkcs8(block.der.into())),
        "RSA PRIVATE KEY" => Some(PrivateKeyDer::Pkcs1(block.der.into())),
        "EC PRIVATE KEY" => Some(PrivateKeyDer::Sec1(block.der.into())),
        _ => None,
    });
    Ok((chain, key.ok_or_else(|| wrong("the client key holds no private key in PEM form"))?))
}

fn weakness_of(chain: &[CertificateDer<'_>]) -> Option<String> {
    chain.first().and_then(|certificate| x509::facts(certificate)?.weak_key)
}

/// Decides whether a certificate is the server's.
#[derive(Debug)]
struct Verifier {
    webpki: Arc<WebPkiServerVerifier>,
    /// The certificates of the authorities.
    own: Vec<Vec<u8>>,
    whose: Whose,
}

impl Verifier {
    fn new(
        own: Vec<Vec<u8>>,
        whose: Whose,
        origin: &str,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Verifier> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(own.iter().map(|der| CertificateDer::from(der.as_slice())));
        if roots.is_empty() {
            let what = if own.is_empty() {
                "no certificate authority is known: none is configured, and the system has none that can be read \
                 (SSL_CERT_FILE, SSL_CERT_DIR)"
            } else {
                "none of the certificates of the certificate-authority can be read"
            };
            return Err(Error::config(origin, what));
        }
        let webpki = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
        let webpki = webpki.map_err(|error| {
            Error::config(origin, format!("the certificate-authority can't be used: {error}"))
        })?;
        Ok(Verifier { webpki, own, whose })
    }

    /// Go's verdict, where it is more than webpki's.
    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // Its signature over the handshake couldn't be checked either.
        if let Some(why) = x509::facts(end_entity).and_then(|facts| facts.weak_key) {
            return Err(self.named(why));
        }
        if self.own.iter().any(|own| own == end_entity.as_ref()) {
            return self.verify_pinned(end_entity, server_name, now);
        }
        let verdict = self.webpki.verify_server_cert(end_entity, intermediates, server_name, &[], now);
        let chain: Vec<_> = std::iter::once(end_entity).chain(intermediates).collect();
        verdict.map_err(|fault| self.name_reason(fault, &chain))
    }

    fn named(&self, why: String) -> rustls::Error {
        CertificateError::Other(OtherError(Arc::new(Named { why, whose: self.whose }))).into()
    }

    /// Go takes a certificate that is one of the authority's as a chain of one.
    fn verify_pinned(
        &self,
        certificate: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let facts = x509::facts(certificate).ok_or(CertificateError::BadEncoding)?;
        let now = now.as_secs() as i64;
        if now < facts.not_before {
            return Err(CertificateError::NotValidYet.into());
        }
        if now > facts.not_after {
            return Err(CertificateError::Expired.into());
        }
        rustls::client::verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
        Ok(ServerCertVerified::assertion())
    }

    /// What webpki can't check, named by what is seldom seen; its own reason otherwise.
    fn name_reason(&self, fault: rustls::Error, chain: &[&CertificateDer<'_>]) -> rustls::Error {
        let rustls::Error::InvalidCertificate(fault) = fault else { return fault };
        use CertificateError as E;
        let what = match &fault {
            E::NotValidForName
            | E::NotValidForNameContext { .. }
            | E::Expired
            | E::ExpiredContext { .. }
            | E::NotValidYet
            | E::NotValidYetContext { .. } => return fault.into(),
            _ => self.unsupported(chain),
        };
        let what = what.or_else(|| match &fault {
            E::UnknownIssuer => Some("it isn't signed by a known authority (UnknownIssuer)".to_owned()),
            E::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => Some(
                "it is the certificate of an authority (CA:TRUE) and not of a server; issue one with CA:FALSE, or \
                 trust it by naming itself as the certificate-authority"
                    .to_owned(),
            ),
            _ => None,
        });
        what.map_or_else(|| fault.clone().into(), |why| self.named(why))
    }

    /// The first certificate on the way from the server to the authority that has
    /// a key or a signature that ring can't check.
    fn unsupported(&self, chain: &[&CertificateDer<'_>]) -> Option<String> {
        let shown: Vec<_> = chain.iter().filter_map(|certificate| x509::facts(certificate)).collect();
        let signed_by =
            |authority: &x509::Facts<'_>| shown.iter().any(|facts| facts.issuer == authority.subject);
        let authorities = self.own.iter().filter_map(|der| x509::facts(der)).filter(signed_by);
        let authority = authorities.filter_map(|facts| facts.weak_key).next();
        let of = |facts: &x509::Facts<'_>| facts.weak_key.clone().or(facts.weak_signature.map(str::to_owned));
        shown.iter().find_map(of).or(authority.map(|why| format!("of the authority that signed it, {why}")))
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict = self.verify(end_entity, intermediates, server_name, now);
        verdict.map_err(|error| match (self.whose, &error) {
            (Whose::Proxy, rustls::Error::InvalidCertificate(fault)) => match fault {
                CertificateError::Other(_) => error,
                fault => self.named(fault.to_string()),
            },
            _ => error,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls13_signature(message, cert, dss)
    }

    /// One more than can be checked, last: a server whose only key is on P-521
    /// would otherwise end the handshake before it has shown its certificate, and
    /// nobody could say what is wrong.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self.webpki.supported_verify_schemes();
        schemes.push(SignatureScheme::ECDSA_NISTP521_SHA512);
        schemes
    }
}

/// `insecure-skip-tls-verify`: nobody is asked who they are.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        use SignatureScheme as S;
        vec![
            S::ECDSA_NISTP256_SHA256,
            S::ECDSA_NISTP384_SHA384,
            S::ED25519,
            S::RSA_PSS_SHA256,
            S::RSA_PSS_SHA384,
            S::RSA_PSS_SHA512,
            S::RSA_PKCS1_SHA256,
            S::RSA_PKCS1_SHA384,
            S::RSA_PKCS1_SHA512,
            S::ECDSA_NISTP521_SHA512,
            S::ED448,
            S::RSA_PKCS1_SHA1,
            S::ECDSA_SHA1_Legacy,
        ]
    }
}

/// Why a certificate isn't taken, in words.
#[derive(Debug)]
struct Named {
    why: String,
    whose: Whose,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Named {}

/// What TLS says went wrong, if a connection failed for that.
pub(crate) enum Fault {
    /// The server's certificate isn't taken here.
    Server(String),
    /// The certificate of the https proxy before it.
    Proxy(String),
    /// The server doesn't take the certificate of this side, or misses one.
    Client(AlertDescription),
    /// No version, cipher or signature algorithm that both sides have.
    NothingInCommon,
}

/// Looks for a fault of TLS under an error. An `io::Error` hides the error it wraps from `source`.
pub(crate) fn fault(error: &(dyn std::error::Error + 'static)) -> Option<Fault> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(fault) = error.downcast_ref().and_then(classify) {
            return Some(fault);
        }
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

fn classify(error: &rustls::Error) -> Option<Fault> {
    use AlertDescription as A;
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(other))) => {
            Some(match other.downcast_ref::<Named>() {
                Some(Named { why, whose: Whose::Proxy }) => Fault::Proxy(why.clone()),
                _ => Fault::Server(other.to_string()),
            })
        }
        rustls::Error::InvalidCertificate(fault) => Some(Fault::Server(fault.to_string())),
        rustls::Error::AlertReceived(A::HandshakeFailure | A::ProtocolVersion | A::InsufficientSecurity)
        | rustls::Error::PeerIncompatible(_) => Some(Fault::NothingInCommon),
        rustls::Error::AlertReceived(
            alert @ (A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::CertificateRequired
            | A::UnknownCA
            | A::AccessDenied),
        ) => Some(Fault::Client(*alert)),
        _ => None,
    }
}

#[cfg(test)]
pub(super) use tests::judge_for_test;
#[cfg(test)]
mod tests;
