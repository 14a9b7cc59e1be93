//! PEM as Go reads it: what is no block, or a broken one, is passed over, so
//! that one unreadable certificate doesn't spoil a bundle. Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// One `-----BEGIN label-----` to `-----END label-----`.
pub(crate) struct Block {
    pub label: String,
    /// Its headers say that a passphrase is needed (RFC 1421, as OpenSSL wrote keys).
    pub encrypted: bool,
    pub der: Vec<u8>,
}

/// The blocks that can be read, in their order.
pub(crate) fn blocks(text: &[u8]) -> Vec<Block> {
    let text = String::from_utf8_lossy(text);
    let mut lines = text.lines().map(str::trim);
    let mut blocks = Vec::new();
    while let Some(line) = lines.next() {
        let Some(label) = between(line, "-----BEGIN ") else { continue };
        let end = format!("-----END {label}-----");
        let mut inside = Vec::new();
        let mut rest = lines.clone();
        let closed = loop {
            match rest.next() {
                Some(line) if line == end => break true,
                Some(line) if line.starts_with("-----BEGIN ") => break false,
                Some(line) => inside.push(line),
                None => break false,
            }
        };
        // Without its end a block says nothing about the next one.
        if closed {
            lines = rest;
            blocks.extend(block(label, &inside));
        }
    }
    blocks
}

/// The certificates in it.
pub(crate) fn certificates(text: &[u8]) -> Vec<Vec<u8>> {
    let certificates = blocks(text).into_iter().filter(|block| block.label == "CERTIFICATE");
    certificates.map(|block| block.der).collect()
}

fn between<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    line.strip_prefix(start)?.strip_suffix("-----")
}

fn block(label: &str, inside: &[&str]) -> Option<Block> {
    let headers = inside.iter().take_while(|line| line.contains(':')).count();
    let encrypted = inside[..headers].iter().any(|header| header.contains("ENCRYPTED"));
    let der = STANDARD.decode(inside[headers..].concat()).ok()?;
    Some(Block { label: label.to_owned(), encrypted, der })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_broken_block_does_not_spoil_the_others() {
        let text = b"subject=/CN=a\n-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n\
            -----BEGIN CERTIFICATE-----\nA!!\n-----END CERTIFICATE-----\n\
            -----BEGIN CERTIFICATE-----\nAQ\n\
            -----BEGIN CERTIFICATE-----\r\nAQ\r\nIE\r\n-----END CERTIFICATE-----\r\n\
            -----BEGIN TRUSTED CERTIFICATE-----\nAQID\n-----END TRUSTED CERTIFICATE-----\n";
        assert_eq!(certificates(text), [vec![1, 2, 3], vec![1, 2, 4]]);
        assert!(certificates(b"{}").is_empty());
    }

    #[test]
    fn an_encrypted_key_is_told_by_its_headers() {
        let text = b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAQID\n-----END RSA PRIVATE KEY-----\n";
        let blocks = blocks(text);
        assert!(blocks[0].encrypted && blocks[0].label == "RSA PRIVATE KEY" && blocks[0].der == [1, 2, 3]);
    }
}
