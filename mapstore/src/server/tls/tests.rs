//! Certificates that Go and webpki see differently; made by `certificates/make.sh`.

use rustls::pki_types::ServerName;
use serde_json::json;

use super::*;
use crate::error::ErrorKind;

macro_rules! certificate {
    ($name:literal) => {
        pem::certificates(include_bytes!(concat!("certificates/", $name, ".pem"))).remove(0)
    };
}

const NOW: u64 = 1_800_000_000;

/// What becomes of a server that shows `shown`, where `authorities` are configured.
fn verdict_at(now: u64, authorities: &[Vec<u8>], shown: &[u8], name: &str) -> Result<(), String> {
    let verifier = Verifier::new(authorities.to_vec(), Whose::Server, "test", &provider()).unwrap();
    let name = ServerName::try_from(name).unwrap();
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now));
    let verdict = verifier.verify_server_cert(&CertificateDer::from(shown), &[], &name, &[], now);
    verdict.map(drop).map_err(|error| match classify(&error) {
        Some(Fault::Server(why)) => why,
        _ => panic!("{error:?}"),
    })
}

/// Has a server's certificate judged, whatever the verdict.
pub(in crate::server) fn judge_for_test(authorities: &[Vec<u8>], shown: &[u8]) {
    let Ok(verifier) = Verifier::new(authorities.to_vec(), Whose::Server, "test", &provider()) else {
        return;
    };
    let (shown, name) = (CertificateDer::from(shown), ServerName::try_from("localhost").unwrap());
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(NOW));
    if let Err(error) = verifier.verify_server_cert(&shown, std::slice::from_ref(&shown), &name, &[], now) {
        drop((classify(&error), error.to_string()));
    }
}

fn verdict(authorities: &[Vec<u8>], shown: &[u8]) -> Result<(), String> {
    verdict_at(NOW, authorities, shown, "localhost")
}

#[track_caller]
fn refused_for(verdict: Result<(), String>, reason: &str) {
    let why = verdict.expect_err("it is taken");
    assert!(why.contains(reason), "{why}");
}

/// `openssl req -x509` makes a certificate with CA:TRUE, and people use it for the server and as its authority.
#[test]
fn a_certificate_that_is_its_own_authority_is_believed() {
    for shown in
        [certificate!("self"), certificate!("leaf"), certificate!("leaf-as-ca"), certificate!("leaf-sha1")]
    {
        assert_eq!(verdict(std::slice::from_ref(&shown), &shown), Ok(()));
        assert_eq!(verdict_at(NOW, std::slice::from_ref(&shown), &shown, "127.0.0.1"), Ok(()));
    }
}

#[test]
fn a_pinned_certificate_has_to_be_valid_and_for_the_name() {
    let own = [certificate!("self")];
    refused_for(verdict_at(NOW, &own, &own[0], "example.com"), "example.com");
    refused_for(verdict_at(1_000_000_000, &own, &own[0], "localhost"), "NotValidYet");
    refused_for(verdict_at(10_000_000_000, &own, &own[0], "localhost"), "Expired");
    let nameless = [certificate!("nameless")];
    refused_for(verdict(&nameless, &nameless[0]), "not valid for any names");
}

#[test]
fn only_the_very_certificate_is_pinned() {
    let (pinned, other) = (certificate!("self"), certificate!("nameless"));
    refused_for(verdict(&[other], &pinned), "authority");
    refused_for(verdict(&[certificate!("self")], &certificate!("leaf")), "known authority");
    // What a pinned certificate of a server signed is not believed for that.
    refused_for(verdict(&[certificate!("leaf")], &certificate!("leaf-as-ca")), "authority");
}

#[test]
fn authorities_of_every_version_sign() {
    assert_eq!(verdict(&[certificate!("root")], &certificate!("leaf")), Ok(()));
    assert_eq!(verdict(&[certificate!("root-v1")], &certificate!("leaf-of-v1")), Ok(()));
    let bundle = [b"no certificate".to_vec(), certificate!("root-p521"), certificate!("root")];
    assert_eq!(verdict(&bundle, &certificate!("leaf")), Ok(()));
}

/// It was "BadSignature", "UnsupportedSignatureAlgorithm" or a handshake that failed.
#[test]
fn what_cannot_be_checked_is_named() {
    let rsa = [certificate!("rsa1024")];
    refused_for(verdict(&rsa, &rsa[0]), "RSA of 1024 bits");
    let curve = [certificate!("p521")];
    refused_for(verdict(&curve, &curve[0]), "curve P-521");
    refused_for(verdict(&[certificate!("root")], &certificate!("leaf-sha1")), "SHA-1");
    refused_for(verdict(&[certificate!("root")], &certificate!("leaf-as-ca")), "CA:TRUE");
    refused_for(
        verdict(&[certificate!("root-rsa1024")], &certificate!("leaf-of-rsa1024")),
        "RSA of 1024 bits",
    );
    refused_for(verdict(&[certificate!("root-p521")], &certificate!("leaf-of-p521")), "curve P-521");
}

#[test]
fn validity_is_read_from_both_forms_of_time() {
    let certificate = certificate!("self");
    let facts = x509::facts(&certificate).unwrap();
    assert!(facts.not_before > 1_700_000_000 && facts.not_after - facts.not_before == 36_500 * 86_400);
    for end in 0..certificate.len() {
        assert!(x509::facts(&certificate[..end]).is_none(), "cut at {end}");
    }
}

fn identity(fields: serde_json::Value) -> Result<Option<Identity>, Error> {
    client_identity(&serde_json::from_value(fields).unwrap(), "test")
}

#[test]
fn a_client_certificate_that_cannot_be_used_is_said_so() {
    let certificate = include_str!("certificates/leaf.pem");
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAQID\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let old = "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAQID\n-----END EC PRIVATE KEY-----\n";
    for (certificate, key, expected) in [
        (certificate, encrypted, "encrypted"),
        (certificate, old, "encrypted"),
        (certificate, certificate, "no private key"),
        ("{}", encrypted, "no certificate"),
    ] {
        let error = parse_identity(certificate, key, "test").unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.kind(), ErrorKind::Config);
    }
    let lines = STANDARD
        .encode(certificate)
        .as_bytes()
        .chunks(60)
        .map(|line| String::from_utf8_lossy(line).into_owned() + "\r\n")
        .collect::<String>();
    let read =
        identity(json!({"client-certificate-data": lines, "client-key-data": STANDARD.encode(encrypted)}));
    assert_eq!(read.unwrap(), Some((certificate.to_owned(), encrypted.to_owned())));
    assert!(
        identity(json!({"client-certificate-data": lines})).unwrap_err().to_string().contains("client-key")
    );
    assert!(identity(json!({"client-certificate": "", "client-key-data": ""})).unwrap().is_none());
}

#[test]
fn an_authority_without_a_certificate_is_said_so() {
    for authorities in [vec![], vec![b"no".to_vec()]] {
        let error = Verifier::new(authorities, Whose::Server, "test", &provider()).unwrap_err();
        assert!(error.to_string().contains("certificate"), "{error}");
    }
}
