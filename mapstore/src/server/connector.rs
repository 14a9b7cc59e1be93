//! How connections are made: TCP that notices when it is dead, the proxies on
//! the way, TLS, and HTTP/1.1 on top. kube's own connector has no nodelay, no
//! keepalive and no user timeout, shows an https proxy the cluster's client
//! certificate, and takes its crypto provider from the process.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Builder;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::config::Config;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::error::{Error, Result};
use crate::server::lookup::LookUp;

type Tcp = HttpConnector<LookUp>;

/// An idle connection that is dead without saying so is found within 30 s and
/// two or three probes; one with something under way after [`UNANSWERED`].
const KEEPALIVE: Duration = Duration::from_secs(30);
const PROBES: Duration = Duration::from_secs(10);
const UNANSWERED: Duration = Duration::from_secs(45);

/// A name can have addresses that don't answer: no call waits longer for one.
const CONNECT: Duration = Duration::from_secs(30);

/// Load balancers forget idle connections after a few minutes, many servers after 90 s.
const IDLE: Duration = Duration::from_secs(90);

/// A client for the cluster. `to_proxy` is there for an https proxy.
/// Called inside the runtime.
pub(crate) fn client(
    kube: &Config,
    to_server: ClientConfig,
    to_proxy: Option<ClientConfig>,
    origin: &str,
) -> Result<kube::Client> {
    let Some(proxy) = &kube.proxy_url else {
        return over(kube, secured(tcp(), to_server, kube, origin)?, origin);
    };
    // A tunnel takes a server without a port for one of https.
    let plain = kube.cluster_url.scheme_str() == Some("http");
    let mut kube = kube.clone();
    kube.cluster_url = with_port(&kube.cluster_url, if plain { 80 } else { 443 });
    let kube = &kube;
    match (proxy.scheme_str(), to_proxy) {
        (Some("http"), _) => over(kube, secured(tunnel(proxy, tcp()), to_server, kube, origin)?, origin),
        (Some("https"), Some(to_proxy)) => {
            let inner = HttpsConnectorBuilder::new().with_tls_config(to_proxy).https_only().enable_http1();
            let tunnel = tunnel(proxy, inner.wrap_connector(tcp()));
            over(kube, secured(tunnel, to_server, kube, origin)?, origin)
        }
        (Some("socks5" | "socks5h"), _) => {
            over(kube, secured(socks(proxy), to_server, kube, origin)?, origin)
        }
        _ => Err(Error::config(origin, "the proxy is not an http, https or socks5 address")),
    }
}

fn tcp() -> Tcp {
    let mut tcp = HttpConnector::new_with_resolver(LookUp);
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(KEEPALIVE));
    tcp.set_keepalive_interval(Some(PROBES));
    tcp.set_keepalive_retries(Some(3));
    tcp.set_tcp_user_timeout(Some(UNANSWERED));
    tcp.set_connect_timeout(Some(CONNECT));
    tcp
}

/// The path to the proxy doesn't belong to the connection, nor do its credentials.
fn tunnel<C>(proxy: &Uri, inner: C) -> Tunnel<C> {
    let tunnel = Tunnel::new(proxy.clone(), inner);
    let credentials = credentials(proxy).map(|(user, password)| format!("{user}:{password}"));
    let header =
        credentials.and_then(|text| HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(text))).ok());
    match header {
        Some(header) => tunnel.with_auth(header),
        None => tunnel,
    }
}

/// The proxy looks names up, as Go has it do. Its usual port is not that of HTTP.
fn socks(proxy: &Uri) -> SocksV5<Tcp> {
    let socks = SocksV5::new(with_port(proxy, 1080), tcp());
    match credentials(proxy) {
        Some((user, password)) => socks.with_auth(user, password),
        None => socks,
    }
}

/// The same address with a port, where it names none.
fn with_port(uri: &Uri, usual: u16) -> Uri {
    let mut parts = uri.clone().into_parts();
    if uri.port().is_none()
        && let Some(authority) = parts.authority.as_ref()
        && let Ok(whole) = format!("{authority}:{usual}").parse()
    {
        parts.authority = Some(whole);
    }
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}

/// User and password of a URL, decoded.
fn credentials(proxy: &Uri) -> Option<(String, String)> {
    let (credentials, _) = proxy.authority()?.as_str().rsplit_once('@')?;
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let decode = |text| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    Some((decode(user), decode(password)))
}

fn secured<C>(inner: C, tls: ClientConfig, kube: &Config, origin: &str) -> Result<HttpsConnector<C>> {
    let mut builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    if let Some(name) = kube.tls_server_name.as_ref().filter(|name| !name.is_empty()) {
        let name = ServerName::try_from(name.clone()).map_err(|_| {
            Error::config(origin, format!("tls-server-name {name:?} is neither a name nor an address"))
        })?;
        builder = builder.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    Ok(builder.enable_http1().wrap_connector(inner))
}

fn over<C>(kube: &Config, connector: C, origin: &str) -> Result<kube::Client>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let headers = kube.extra_headers_layer().map_err(|error| {
        Error::config(origin, format!("the impersonation can't be put into headers: {error}"))
    })?;
    let http = Builder::new(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .build::<_, Body>(connector);
    let client = ClientBuilder::new(http, kube.default_namespace.clone());
    Ok(client.with_layer(&headers).with_layer(&kube.base_uri_layer()).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_a_proxy_are_decoded() {
        let of = |text: &str| credentials(&text.parse().unwrap());
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(of("http://proxy:3128"), None);
        assert_eq!(of("http://u:p@proxy:3128"), pair("u", "p"));
        assert_eq!(of("socks5://u%40x:p%3Aq%25@proxy"), pair("u@x", "p:q%"));
        assert_eq!(of("http://u@proxy"), pair("u", ""));
    }

    #[test]
    fn an_address_without_a_port_has_the_usual_one() {
        let of = |text: &str| with_port(&text.parse().unwrap(), 1080).to_string();
        assert_eq!(of("socks5://u:p@proxy"), "socks5://u:p@proxy:1080/");
        assert_eq!(of("socks5://[::1]"), "socks5://[::1]:1080/");
        assert_eq!(of("socks5://proxy:9/"), "socks5://proxy:9/");
    }
}
