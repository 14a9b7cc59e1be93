//! The few facts about a certificate that rustls doesn't tell: how long it is
//! valid, and what its key and signature are made of, to name what can't be
//! checked. Decides nothing about trust but the validity. Pure.

use k8s_openapi::jiff::Timestamp;

/// What a certificate says of itself; nothing of it is proven.
#[derive(Debug, PartialEq)]
pub(crate) struct Facts<'a> {
    /// Names, as they are encoded.
    pub issuer: &'a [u8],
    pub subject: &'a [u8],
    /// Seconds since 1970.
    pub not_before: i64,
    pub not_after: i64,
    /// Why this library can't work with its key, if so.
    pub weak_key: Option<String>,
    /// Why it can't check the signature on it.
    pub weak_signature: Option<&'static str>,
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;

const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
const EC: &[u8] = b"\x2a\x86\x48\xce\x3d\x02\x01";
const ED25519: &[u8] = b"\x2b\x65\x70";

/// Curves that ring has, and the names of others.
const CURVES: [(&[u8], &str); 5] = [
    (b"\x2a\x86\x48\xce\x3d\x03\x01\x07", ""),
    (b"\x2b\x81\x04\x00\x22", ""),
    (b"\x2b\x81\x04\x00\x23", "P-521"),
    (b"\x2b\x81\x04\x00\x21", "P-224"),
    (b"\x2b\x81\x04\x00\x0a", "secp256k1"),
];

/// Go refuses SHA-1 and MD5 too; ECDSA with SHA-512 is what goes with P-521.
const WEAK_SIGNATURES: [(&[u8], &str); 4] = [
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05", "it is signed with SHA-1"),
    (b"\x2a\x86\x48\xce\x3d\x04\x01", "it is signed with SHA-1"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04", "it is signed with MD5"),
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x04", "it is signed with ECDSA and SHA-512, usual for the curve P-521"),
];

/// `None`: it isn't a certificate.
pub(crate) fn facts(certificate: &[u8]) -> Option<Facts<'_>> {
    let mut outer = take(&mut &*certificate, SEQUENCE)?;
    let mut body = take(&mut outer, SEQUENCE)?;
    let signature = take(&mut take(&mut outer, SEQUENCE)?, OID)?;
    if body.first() == Some(&VERSION) {
        take(&mut body, VERSION)?;
    }
    take(&mut body, INTEGER)?; // serial number
    take(&mut body, SEQUENCE)?; // algorithm of the signature
    let issuer = take(&mut body, SEQUENCE)?;
    let mut validity = take(&mut body, SEQUENCE)?;
    let subject = take(&mut body, SEQUENCE)?;
    let weak_signature = WEAK_SIGNATURES.iter().find(|(oid, _)| *oid == signature).map(|(_, why)| *why);
    Some(Facts {
        issuer,
        subject,
        not_before: time(&mut validity)?,
        not_after: time(&mut validity)?,
        weak_key: weak_key(take(&mut body, SEQUENCE)?)?,
        weak_signature,
    })
}

/// The inside of the next element, if it has this tag.
fn take<'a>(input: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (found, content) = element(input)?;
    (found == tag).then_some(content)
}

fn element<'a>(input: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        let (bytes, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if bytes.is_empty() || bytes.len() > 4 {
            return None;
        }
        length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        rest = after;
    }
    let (content, after) = rest.split_at_checked(length)?;
    *input = after;
    Some((tag, content))
}

/// RFC 5280, 4.1.2.5: always in UTC, with seconds.
fn time(input: &mut &[u8]) -> Option<i64> {
    let (tag, text) = element(input)?;
    let text = std::str::from_utf8(text).ok().filter(|text| text.is_ascii())?;
    let full = match tag {
        UTC_TIME if text.len() == 13 => format!("{}{text}", if &text[..2] < "50" { "20" } else { "19" }),
        GENERALIZED_TIME if text.len() == 15 => text.to_owned(),
        _ => return None,
    };
    let part = |from: usize| &full[from..from + 2];
    let rfc3339 = format!("{}-{}-{}T{}:{}:{}Z", &full[..4], part(4), part(6), part(8), part(10), part(12));
    rfc3339.parse::<Timestamp>().ok().filter(|_| full.ends_with('Z')).map(Timestamp::as_second)
}

/// The outer `None`: it isn't a key.
fn weak_key(mut info: &[u8]) -> Option<Option<String>> {
    let mut algorithm = take(&mut info, SEQUENCE)?;
    let key = take(&mut info, BIT_STRING)?;
    let oid = take(&mut algorithm, OID)?;
    Some(match oid {
        RSA => {
            let mut numbers = take(&mut key.get(1..)?, SEQUENCE)?;
            let modulus = take(&mut numbers, INTEGER)?;
            let bytes = modulus.strip_prefix(&[0]).unwrap_or(modulus);
            let bits = bytes.len() * 8 - bytes.first().map_or(0, |byte| byte.leading_zeros() as usize);
            (!(2048..=8192).contains(&bits))
                .then(|| format!("its key is RSA of {bits} bits; 2048 to 8192 are supported"))
        }
        EC => {
            let curve = take(&mut algorithm, OID)?;
            let name = CURVES.iter().find(|(oid, _)| *oid == curve).map_or("unknown", |(_, name)| *name);
            (!name.is_empty())
                .then(|| format!("its key is on the curve {name}; P-256 and P-384 are supported"))
        }
        ED25519 => None,
        _ => Some("its key is neither RSA nor ECDSA nor Ed25519".to_owned()),
    })
}
