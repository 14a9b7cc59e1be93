//! Which proxy a server is reached through: the kubeconfig's, else the one that
//! Go's golang.org/x/net/http/httpproxy finds in the environment. Pure.
//! `tests/proxies` holds what Go says, line by line.

use std::net::IpAddr;

use super::address::Address;
use super::environment::Environment;
use crate::error::{Error, Result};

/// What mapstore can connect through.
const SCHEMES: [&str; 4] = ["http", "https", "socks5", "socks5h"];

/// The kubeconfig's `proxy-url`. Go: `parseProxyURL` in clientcmd.
pub(super) fn configured(text: &str, origin: &str) -> Result<http::Uri> {
    let wrong = |why: &str| Error::config(origin, format!("the cluster's proxy-url can't be used: {why}"));
    let address = Address::parse(text).map_err(wrong)?;
    if !["http", "https", "socks5"].contains(&address.scheme.as_str()) {
        return Err(wrong("it has to begin with http://, https:// or socks5://"));
    }
    address.to_uri_with_user().ok_or_else(|| wrong("it names no host and port"))
}

/// The environment's proxy for a server, if one is to be used.
pub(super) fn from_environment(server: &Address, env: &Environment) -> Result<Option<http::Uri>> {
    match choose(server, env)? {
        None => Ok(None),
        Some((name, text, proxy)) => {
            let wrong = |why: &str| Err(Error::config(name, format!("the proxy can't be used: {why}")));
            // Go would look for a host that is called as the scheme.
            if text.contains("://") && Address::parse(text).map_or(true, |address| address.host.is_empty()) {
                return wrong("it is not an address");
            }
            if !SCHEMES.contains(&proxy.scheme.as_str()) {
                return wrong("it has to be an http, https or socks5 address");
            }
            proxy.to_uri_with_user().map_or_else(|| wrong("it names no host and port"), |uri| Ok(Some(uri)))
        }
    }
}

/// The variable, its text and the proxy, as Go chooses them.
fn choose<'a>(server: &Address, env: &'a Environment) -> Result<Option<(&'static str, &'a str, Address)>> {
    let names = match server.scheme.as_str() {
        "https" => ["HTTPS_PROXY", "https_proxy"],
        _ => ["HTTP_PROXY", "http_proxy"],
    };
    let Some((name, value)) = first_set(env, names)? else { return Ok(None) };
    // What isn't an address counts as not set, as for Go.
    let Some(proxy) = proxy(value) else { return Ok(None) };
    if name.eq_ignore_ascii_case("HTTP_PROXY") && env.text("REQUEST_METHOD")?.is_some() {
        return Err(Error::config(
            name,
            "REQUEST_METHOD is set, so this is a CGI program, whose callers can set HTTP_PROXY; it isn't obeyed there",
        ));
    }
    let exceptions = first_set(env, ["NO_PROXY", "no_proxy"])?.map_or("", |(_, list)| list);
    Ok(is_proxied(server, exceptions).then_some((name, value, proxy)))
}

fn first_set<'a>(env: &'a Environment, names: [&'static str; 2]) -> Result<Option<(&'static str, &'a str)>> {
    for name in names {
        if let Some(value) = env.text(name)? {
            return Ok(Some((name, value)));
        }
    }
    Ok(None)
}

/// Go: `parseProxy`.
fn proxy(text: &str) -> Option<Address> {
    let as_it_is = Address::parse(text);
    match as_it_is {
        Ok(address) if !address.scheme.is_empty() && !address.host.is_empty() => Some(address),
        as_it_is => Address::parse(&format!("http://{text}")).or(as_it_is).ok(),
    }
}

/// Go: `useProxy` and `config.init`.
fn is_proxied(server: &Address, exceptions: &str) -> bool {
    let host = server.hostname();
    let port = match (server.port.as_str(), server.scheme.as_str()) {
        ("", "https") => "443",
        ("", _) => "80",
        (port, _) => port,
    };
    let without_zone = host.split('%').next().unwrap_or_default();
    let address = without_zone.parse::<IpAddr>().ok().map(|address| address.to_canonical());
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return false;
    }
    let host = host.trim().to_lowercase();
    !exceptions.split(',').any(|entry| excepts(&entry.trim().to_lowercase(), &host, port, address))
}

/// Whether one entry of NO_PROXY is about this host.
fn excepts(entry: &str, host: &str, port: &str, address: Option<IpAddr>) -> bool {
    if entry.is_empty() || entry == "*" {
        return entry == "*";
    }
    if let Some((network, length)) = network(entry) {
        return address.is_some_and(|address| contains(network, length, address));
    }
    let (name, only_port) = match split_host_port(entry) {
        Some((name, port)) => {
            (name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name), port)
        }
        None => (entry, ""),
    };
    if name.is_empty() || !(only_port.is_empty() || only_port == port) {
        return false;
    }
    if let Ok(own) = name.parse::<IpAddr>() {
        return address == Some(own.to_canonical());
    }
    if address.is_some() {
        return false;
    }
    let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
    match name.strip_prefix('.') {
        Some(_) => host.ends_with(name),
        None => host == name || host.strip_suffix(name).is_some_and(|before| before.ends_with('.')),
    }
}

/// Go: `net.ParseCIDR`.
fn network(entry: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = entry.split_once('/')?;
    let address = address.parse::<IpAddr>().ok()?;
    let plain = !length.is_empty() && length.len() <= 3 && length.bytes().all(|b| b.is_ascii_digit());
    let length = length.parse::<u8>().ok().filter(|_| plain)?;
    (length <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, length))
}

/// Go: `IPNet.Contains`: an IPv4 address in IPv6 clothes is an IPv4 address.
fn contains(network: IpAddr, length: u8, address: IpAddr) -> bool {
    let same = |network: u128, address: u128, bits: u32| {
        let drop = bits - u32::from(length);
        drop == bits || network >> drop == address >> drop
    };
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            same(u128::from(network.to_bits()), u128::from(address.to_bits()), 32)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => same(network.to_bits(), address.to_bits(), 128),
        // Go masks a mapped network to 16 bytes, which an IPv4 address of four never equals,
        // unless the network itself shrinks to four.
        (IpAddr::V6(network), IpAddr::V4(address)) => match network.to_ipv4_mapped() {
            Some(network) if length >= 96 => contains(IpAddr::V4(network), length - 96, IpAddr::V4(address)),
            _ => false,
        },
        (IpAddr::V4(_), IpAddr::V6(_)) => false,
    }
}

/// Go: `net.SplitHostPort`; without brackets. `None`: it has no port, or makes no sense.
fn split_host_port(text: &str) -> Option<(&str, &str)> {
    let (before, port) = text.rsplit_once(':')?;
    let host = if let Some(inner) = before.strip_prefix('[') {
        // The first closing bracket has to be the last character before the port.
        inner.split_once(']').filter(|(_, rest)| rest.is_empty())?.0
    } else {
        if before.contains(':') {
            return None;
        }
        before
    };
    let clean = |text: &str| !text.contains(['[', ']']);
    (clean(host) && clean(port)).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// The table holds what Go's httpproxy says; `tests/proxies/check.sh` compares it with Go itself.
    #[test]
    fn every_line_of_the_table_is_as_in_go() {
        let table = include_str!("../../../tests/proxies/table.jsonl");
        let verdicts: Vec<_> = include_str!("../../../tests/proxies/verdicts.txt").lines().collect();
        assert_eq!(table.lines().count(), verdicts.len());
        for (number, (line, wanted)) in table.lines().zip(verdicts).enumerate() {
            let row: Value = serde_json::from_str(line).unwrap();
            let vars = row["env"].as_object().unwrap().iter();
            let env = Environment::of(vars.map(|(name, value)| (name.as_str(), value.as_str().unwrap())));
            let server = Address::parse(row["url"].as_str().unwrap()).unwrap();
            let got = match choose(&server, &env) {
                Err(_) => "refused".into(),
                Ok(None) => "direct".into(),
                Ok(Some((_, _, proxy))) => {
                    let port = if proxy.port.is_empty() { String::new() } else { format!(":{}", proxy.port) };
                    let user = if proxy.userinfo.is_some() { "user@" } else { "" };
                    format!("{}://{user}{}{port}", proxy.scheme, proxy.host)
                }
            };
            assert_eq!(got, wanted, "line {}: {line}", number + 1);
        }
    }
}
