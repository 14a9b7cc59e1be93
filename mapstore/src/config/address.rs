//! Addresses as Go's net/url reads them, as far as servers and proxies need it. Pure.
//! No error quotes the address: it may hold a password.

use std::net::Ipv6Addr;

/// What stands between scheme and path stays encoded, as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Address {
    /// In lower case; empty if there is none.
    pub scheme: String,
    pub userinfo: Option<String>,
    /// With the brackets of an IPv6 address.
    pub host: String,
    /// Digits, if any.
    pub port: String,
    /// Without query and fragment.
    pub path: String,
}

type Result<T> = std::result::Result<T, &'static str>;

impl Address {
    /// Go: `url.Parse`. An opaque address (`mailto:x`) has neither host nor path here.
    pub fn parse(text: &str) -> Result<Address> {
        let text = text.split('#').next().unwrap_or_default();
        if text.bytes().any(|b| b < 0x20 || b == 0x7f) {
            return Err("it has a control character");
        }
        let (scheme, rest) = scheme(text)?;
        let rest = rest.split('?').next().unwrap_or_default();
        let mut address = Address { scheme, ..Address::default() };
        if !rest.starts_with('/') {
            if address.scheme.is_empty() {
                if rest.split('/').next().is_some_and(|first| first.contains(':')) {
                    return Err("it has a colon where only a scheme has one");
                }
                check_escapes(rest)?;
                address.path = rest.to_owned();
            }
            return Ok(address);
        }
        let local = address.scheme.is_empty() && rest.starts_with("///");
        address.path = match rest.strip_prefix("//").filter(|_| !local) {
            Some(after) => {
                let (authority, path) = after.split_at(after.find('/').unwrap_or(after.len()));
                address.take_authority(authority)?;
                path.to_owned()
            }
            None => rest.to_owned(),
        };
        check_escapes(&address.path)?;
        Ok(address)
    }

    fn take_authority(&mut self, authority: &str) -> Result<()> {
        let (userinfo, host) = match authority.rsplit_once('@') {
            Some((userinfo, host)) => (Some(userinfo), host),
            None => (None, authority),
        };
        if let Some(userinfo) = userinfo {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&b);
            if !userinfo.bytes().all(allowed) {
                return Err("the name or password before the @ has characters that must be encoded as %XX");
            }
            check_escapes(userinfo)?;
        }
        let (host, port) = split_port(host)?;
        let allowed =
            |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:[]<>\"%".contains(c);
        if !host.chars().all(allowed) {
            return Err("the host has characters that no host has");
        }
        check_escapes(host)?;
        self.userinfo = userinfo.map(str::to_owned);
        (self.host, self.port) = (host.to_owned(), port.to_owned());
        Ok(())
    }

    /// Name and password, decoded.
    pub fn user(&self) -> Option<(String, String)> {
        let userinfo = self.userinfo.as_ref()?;
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        Some((decode(user), decode(password)))
    }

    /// The host without brackets.
    pub fn hostname(&self) -> &str {
        let inner = self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        inner.unwrap_or(&self.host)
    }

    /// Without user and password.
    pub fn to_uri(&self) -> Option<http::Uri> {
        self.build("")
    }

    /// With user and password: never for a message.
    pub fn to_uri_with_user(&self) -> Option<http::Uri> {
        match &self.userinfo {
            Some(userinfo) => self.build(&format!("{userinfo}@")),
            None => self.build(""),
        }
    }

    fn build(&self, user: &str) -> Option<http::Uri> {
        let port =
            if self.port.is_empty() { String::new() } else { format!(":{}", self.port.parse::<u16>().ok()?) };
        let path = clean(&self.path);
        let uri = format!("{}://{user}{}{port}{path}", self.scheme, self.host);
        uri.parse::<http::Uri>().ok().filter(|uri| uri.host().is_some_and(|host| !host.is_empty()))
    }
}

/// Go: `getScheme`.
fn scheme(text: &str) -> Result<(String, &str)> {
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return Err("it begins with a colon"),
            b':' => return Ok((text[..at].to_ascii_lowercase(), &text[at + 1..])),
            _ => break,
        }
    }
    Ok((String::new(), text))
}

/// Go: `parseHost`.
fn split_port(host: &str) -> Result<(&str, &str)> {
    let (host, port) = if host.starts_with('[') {
        let end = host.rfind(']').ok_or("a bracket before the host isn't closed")?;
        let inside = &host[1..end];
        let address = inside.split("%25").next().unwrap_or_default();
        if address.parse::<Ipv6Addr>().is_err() {
            return Err("what is in brackets isn't an IPv6 address");
        }
        host.split_at(end + 1)
    } else {
        host.split_at(host.rfind(':').unwrap_or(host.len()))
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    if (!port.is_empty() && !port.starts_with(':')) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err("its port isn't a number");
    }
    if !host.starts_with('[') && host.contains(':') {
        return Err("its host has a colon; an IPv6 address needs brackets");
    }
    Ok((host, digits))
}

fn check_escapes(text: &str) -> Result<()> {
    let hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = text.as_bytes();
    let broken =
        (0..bytes.len()).any(|at| bytes[at] == b'%' && !(hex(bytes.get(at + 1)) && hex(bytes.get(at + 2))));
    if broken { Err("it has a % without two hexadecimal digits after it") } else { Ok(()) }
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match (first, code.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Go: `path.Join("/", path)`; what a path can't hold is encoded.
fn clean(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&b);
    let encode = |b: u8| if allowed(b) { (b as char).to_string() } else { format!("%{b:02X}") };
    format!("/{}", parts.join("/")).bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> String {
        match Address::parse(text) {
            Ok(a) => format!("{} {} {} {}", a.scheme, a.host, a.port, a.path),
            Err(_) => "error".into(),
        }
    }

    #[test]
    fn as_go_reads_them() {
        let table = [
            ("https://h:1/a?b#c", "https h 1 /a"),
            ("HTTPS://h", "https h  "),
            ("h:1", "h   "),
            ("1.2.3.4:5", "error"),
            ("h", "   h"),
            ("//h/p", " h  /p"),
            ("///p", "   ///p"),
            ("https://[::1]:2", "https [::1] 2 "),
            ("https://[fe80::1%25eth0]", "https [fe80::1%25eth0]  "),
            ("https://[x]", "error"),
            ("https://[::1", "error"),
            ("https://::1", "error"),
            ("https://h:", "https h  "),
            ("https://h:x", "error"),
            ("https://h h", "error"),
            ("https://h/%zz", "error"),
            ("https://h/a b", "https h  /a b"),
            (":1", "error"),
            ("", "   "),
            ("http://u:p@h", "http h  "),
            ("http://u p@h", "error"),
            ("a\nb", "error"),
        ];
        for (text, wanted) in table {
            assert_eq!(parts(text), wanted, "{text}");
        }
        let user = Address::parse("http://u%40:p%3A%25@h").unwrap().user();
        assert_eq!(user, Some(("u@".into(), "p:%".into())));
        let uri = |text: &str| Address::parse(text).unwrap().to_uri().map(|uri| uri.to_string());
        assert_eq!(uri("https://u:p@h:1//a/../b c/").as_deref(), Some("https://h:1/b%20c"));
        assert_eq!(uri("https://h:65536"), None);
        assert_eq!(uri("https://").as_deref(), None);
    }
}
