//! What a context of a kubeconfig means for a connection: client-go's rules of
//! what is refused (`ConfirmUsable`), which credential counts
//! (`getUserIdentificationPartialConfig`, `HTTPWrappersForConfig`), and that
//! nothing secret goes over plain http.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};
use kube::config::{Config, ExecAuthCluster, ExecConfig, ExecInteractiveMode};
use serde_json::Value;

use super::address::Address;
use super::environment::Environment;
use super::exec::Plugin;
use super::kubeconfig::{self, Exec, Kubeconfig, User};
use super::target::{Auth, Cluster, read_token, without_kube_policies};
use super::{file, pem, proxy};
use crate::error::{Error, Result};
use crate::model::quoted;

/// One context, and what it leads to.
pub(super) struct Choice {
    cluster: kubeconfig::Cluster,
    user: User,
    pub namespace: Option<String>,
}

impl Choice {
    pub fn of(kubeconfig: &Kubeconfig, context: Option<&str>, origin: &str) -> Result<Choice> {
        let wrong = |message: String| Error::config(origin, message);
        let given = context.filter(|name| !name.is_empty());
        let name = given.unwrap_or(&kubeconfig.current_context);
        if name.is_empty() {
            return Err(wrong("it names no current-context; set one or give the option context".into()));
        }
        let context = kubeconfig.contexts.get(name).ok_or_else(|| {
            wrong(format!("it has no context {}; see `kubectl config get-contexts`", quoted(name)))
        })?;
        // kubectl would go on with localhost:8080.
        let cluster =
            kubeconfig.clusters.get(&context.cluster).ok_or_else(|| match context.cluster.as_str() {
                "" => wrong(format!("its context {} names no cluster", quoted(name))),
                cluster => {
                    wrong(format!("its context names the cluster {}, which it doesn't have", quoted(cluster)))
                }
            })?;
        let user = match kubeconfig.users.get(&context.user) {
            Some(user) => user.clone(),
            None if context.user.is_empty() => User::default(),
            // kubectl would go on as nobody.
            None => {
                let user = quoted(&context.user);
                return Err(wrong(format!("its context names the user {user}, which it doesn't have")));
            }
        };
        let namespace = Some(context.namespace.clone()).filter(|namespace| !namespace.is_empty());
        Ok(Choice { cluster: cluster.clone(), user, namespace })
    }

    /// How to reach it and as whom. `over` ends a wait for a file that is a pipe.
    pub fn connect(mut self, origin: &str, env: &Environment, over: &dyn Fn() -> bool) -> Result<Cluster> {
        let server = server(&self.cluster.server, origin)?;
        self.check(&server, origin)?;
        self.drain_pipes(origin, over)?;
        let url = server.to_uri().ok_or_else(|| bad_server(origin, "no host, or a port over 65535"))?;
        let mut kube = Config::new(url);
        kube.proxy_url = match self.cluster.proxy_url.as_str() {
            "" => proxy::from_environment(&server, env)?,
            own => Some(proxy::configured(own, origin)?),
        };
        kube.headers = impersonation(&self.user, origin)?;
        let mut auth = Auth::None;
        if server.scheme == "https" {
            self.trust(&mut kube, origin)?;
            self.show_certificate(&mut kube);
            auth = self.credential(&server, origin, env, over)?;
        }
        let system_roots = env.system_roots();
        let (cluster, user) = (&self.cluster.whole, &self.user.whole);
        let around = (&kube.proxy_url, &system_roots);
        let identity = format!("{cluster} {user} {around:?} {}", auth.identity());
        Ok(Cluster { kube: without_kube_policies(kube), auth, system_roots, origin: origin.into(), identity })
    }

    /// A pipe can be read once only: what comes out of it is taken as if it stood in the kubeconfig.
    /// But a token file's, which is read again and again in any case, and may be a file by then.
    fn drain_pipes(&mut self, origin: &str, over: &dyn Fn() -> bool) -> Result<()> {
        let (cluster, user) = (&mut self.cluster, &mut self.user);
        let drain = |path: &mut String, whole: &mut Value, field: &str| {
            if !file::is_pipe_at(path.as_ref()) {
                return Ok(None);
            }
            let subject = format!("{field} of {origin}");
            let bytes = file::read_bytes(path.as_ref(), &subject, over)?;
            path.clear();
            whole[format!("{field} from a pipe")] = STANDARD.encode(&bytes).into();
            Ok::<_, Error>(Some(bytes))
        };
        if let Some(bytes) = drain(&mut cluster.authority_file, &mut cluster.whole, "certificate-authority")?
        {
            cluster.authority_data = bytes;
        }
        if let Some(bytes) = drain(&mut user.certificate_file, &mut user.whole, "client-certificate")? {
            user.certificate_data = bytes;
        }
        if let Some(bytes) = drain(&mut user.key_file, &mut user.whole, "client-key")? {
            user.key_data = bytes;
        }
        Ok(())
    }

    /// What kubectl refuses whatever is to be done with it.
    fn check(&self, server: &Address, origin: &str) -> Result<()> {
        let (cluster, user) = (&self.cluster, &self.user);
        let wrong = |message: &str| Err(Error::config(origin, message));
        if !cluster.authority_file.is_empty() && !cluster.authority_data.is_empty() {
            return wrong(
                "the cluster has certificate-authority and certificate-authority-data; leave one of them",
            );
        }
        check_user(user, server.scheme == "https").or_else(|message| wrong(&message))?;
        let mut files = vec![&cluster.authority_file];
        if user.has_certificate() {
            files.extend([&user.certificate_file, &user.key_file]);
        }
        files.into_iter().filter(|path| !path.is_empty()).try_for_each(|path| file::check(path, origin))
    }

    /// How the server proves who it is.
    fn trust(&self, kube: &mut Config, origin: &str) -> Result<()> {
        let cluster = &self.cluster;
        if cluster.insecure && !(cluster.authority_file.is_empty() && cluster.authority_data.is_empty()) {
            return Err(Error::config(
                origin,
                "the cluster has a certificate authority and insecure-skip-tls-verify; leave one of them",
            ));
        }
        kube.accept_invalid_certs = cluster.insecure;
        kube.tls_server_name = Some(cluster.tls_server_name.clone()).filter(|name| !name.is_empty());
        if !cluster.authority_file.is_empty() {
            // Read when it connects, so that a rotated authority is found.
            kube.root_cert = Some(Vec::new());
            kube.root_cert_file = Some(cluster.authority_file.clone().into());
        } else if !cluster.authority_data.is_empty() {
            let found = pem::certificates(&cluster.authority_data);
            if found.is_empty() {
                return Err(Error::config(
                    origin,
                    "the cluster's certificate-authority-data holds no certificate",
                ));
            }
            kube.root_cert = Some(found);
        }
        Ok(())
    }

    fn show_certificate(&self, kube: &mut Config) {
        let user = &self.user;
        if !user.has_certificate() {
            return;
        }
        let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let data = |bytes: &Vec<u8>| (!bytes.is_empty()).then(|| STANDARD.encode(bytes));
        let info = &mut kube.auth_info;
        info.client_certificate = text(&user.certificate_file);
        info.client_certificate_data = data(&user.certificate_data);
        info.client_key = text(&user.key_file);
        info.client_key_data = data(&user.key_data).map(Into::into);
    }

    /// The credential that counts, of those there are.
    fn credential(
        &self,
        server: &Address,
        origin: &str,
        env: &Environment,
        over: &dyn Fn() -> bool,
    ) -> Result<Auth> {
        let user = &self.user;
        if let Some(name) = &user.auth_provider {
            return Err(Error::config(
                origin,
                format!(
                    "mapstore doesn't support the auth-provider {}; use a credential plugin (exec)",
                    quoted(name)
                ),
            ));
        }
        if let Some((user, password)) = server.user() {
            return Ok(Auth::Basic { user, password });
        }
        // A token beside it is for a file that isn't there.
        let path: &std::path::Path = user.token_file.as_ref();
        let usable = || file::is_pipe_at(path) || read_token(path, over).is_ok();
        if !user.token_file.is_empty() && (user.token.is_empty() || usable()) {
            return Ok(Auth::TokenFile(user.token_file.clone().into()));
        }
        if !user.token.is_empty() {
            return Ok(Auth::Token(user.token.clone()));
        }
        if !user.username.is_empty() {
            return Ok(Auth::Basic { user: user.username.clone(), password: user.password.clone() });
        }
        match &user.exec {
            Some(exec) if !user.has_certificate() => {
                let exec = self.exec_config(exec, over)?;
                Ok(Auth::Exec(Box::new(Plugin::new(exec, env.everything(), env.signals, origin)?)))
            }
            _ => Ok(Auth::None),
        }
    }

    fn exec_config(&self, exec: &Exec, over: &dyn Fn() -> bool) -> Result<ExecConfig> {
        let variable = |(name, value): &(String, String)| {
            [("name".to_owned(), name.clone()), ("value".to_owned(), value.clone())].into()
        };
        Ok(ExecConfig {
            api_version: Some(exec.api_version.clone()),
            command: Some(exec.command.clone()),
            args: Some(exec.args.clone()),
            env: Some(exec.env.iter().map(variable).collect()),
            install_hint: Some(exec.install_hint.clone()).filter(|hint| !hint.is_empty()),
            interactive_mode: Some(match exec.interactive_mode.as_str() {
                "Always" => ExecInteractiveMode::Always,
                "IfAvailable" => ExecInteractiveMode::IfAvailable,
                _ => ExecInteractiveMode::Never,
            }),
            provide_cluster_info: exec.provide_cluster_info,
            cluster: if exec.provide_cluster_info { Some(self.for_plugin(over)?) } else { None },
            ..ExecConfig::default()
        })
    }

    /// Go: `ConfigToExecCluster`.
    fn for_plugin(&self, over: &dyn Fn() -> bool) -> Result<ExecAuthCluster> {
        let cluster = &self.cluster;
        let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let authority = match cluster.authority_file.as_str() {
            "" => cluster.authority_data.clone(),
            path => file::read_bytes(path.as_ref(), &format!("certificate authority {path:?}"), over)?,
        };
        Ok(ExecAuthCluster {
            server: text(&cluster.server),
            insecure_skip_tls_verify: cluster.insecure.then_some(true),
            certificate_authority_data: Some(authority).filter(|bytes| !bytes.is_empty()),
            proxy_url: text(&cluster.proxy_url),
            tls_server_name: text(&cluster.tls_server_name),
            config: cluster.for_plugins.clone(),
        })
    }
}

/// Go: `DefaultServerURL`. What has no scheme is plain http.
fn server(text: &str, origin: &str) -> Result<Address> {
    if text.is_empty() {
        return Err(Error::config(origin, "its cluster has no server"));
    }
    let address = match Address::parse(text) {
        Ok(address) if !address.scheme.is_empty() && !address.host.is_empty() => address,
        _ => {
            let address = Address::parse(&format!("http://{text}")).map_err(|why| bad_server(origin, why))?;
            if !matches!(address.path.as_str(), "" | "/") {
                return Err(bad_server(origin, "it has a path, and doesn't begin with http:// or https://"));
            }
            address
        }
    };
    match address.scheme.as_str() {
        "https" => Ok(address),
        "http" if address.userinfo.is_none() => Ok(address),
        "http" => Err(bad_server(origin, "a name or password in it would go over plain http")),
        _ => Err(bad_server(origin, "it is neither http nor https")),
    }
}

fn bad_server(origin: &str, why: &str) -> Error {
    Error::config(origin, format!("the server of its cluster is not an http or https address: {why}"))
}

/// Go: `validateAuthInfo`.
fn check_user(user: &User, https: bool) -> std::result::Result<(), String> {
    let wrong = |message: &str| Err(message.to_owned());
    if user.has_certificate() {
        if !user.certificate_file.is_empty() && !user.certificate_data.is_empty() {
            return wrong("the user has client-certificate and client-certificate-data; leave one of them");
        }
        match (user.key_file.is_empty(), user.key_data.is_empty()) {
            (false, false) => return wrong("the user has client-key and client-key-data; leave one of them"),
            (true, true) => {
                return wrong("the user's client certificate has no client-key or client-key-data");
            }
            _ => {}
        }
    }
    let basic = !user.username.is_empty() || !user.password.is_empty();
    if !user.token.is_empty() && basic {
        return wrong("the user has a token and a username or password; only one of them can be used");
    }
    if https && !user.token_file.is_empty() && !user.username.is_empty() {
        return wrong("the user has a tokenFile and a username; only one of them can be used");
    }
    let more =
        !user.acts_as_uid.is_empty() || !user.acts_as_groups.is_empty() || !user.acts_as_extra.is_empty();
    if more && user.acts_as.is_empty() {
        return wrong("the user has as-uid, as-groups or as-user-extra, and no as; say whom to impersonate");
    }
    match &user.exec {
        Some(exec) => check_plugin(exec, user.auth_provider.is_some()),
        None => Ok(()),
    }
}

fn check_plugin(exec: &Exec, with_provider: bool) -> std::result::Result<(), String> {
    if with_provider {
        return Err("the user has an auth-provider and a credential plugin (exec); leave one of them".into());
    }
    if exec.command.is_empty() {
        return Err("its credential plugin has no command".into());
    }
    if exec.api_version.is_empty() {
        return Err("its credential plugin has no apiVersion, as client.authentication.k8s.io/v1".into());
    }
    if exec.env.iter().any(|(name, _)| name.is_empty()) {
        return Err("its credential plugin has an env variable without a name".into());
    }
    match exec.interactive_mode.as_str() {
        "Never" | "IfAvailable" | "Always" => Ok(()),
        "" => Err("its credential plugin has no interactiveMode: Never, IfAvailable or Always".into()),
        other => Err(format!(
            "the interactiveMode of its credential plugin is {}; it can be Never, IfAvailable or Always",
            quoted(other)
        )),
    }
}

/// Go: `impersonatingRoundTripper`.
fn impersonation(user: &User, origin: &str) -> Result<Vec<(HeaderName, HeaderValue)>> {
    let mut headers = Vec::new();
    let mut add = |name: &str, text: &str| {
        let name = HeaderName::try_from(name).ok();
        match (name, HeaderValue::from_bytes(text.as_bytes())) {
            (Some(name), Ok(value)) => {
                headers.push((name, value));
                Ok(())
            }
            _ => Err(Error::config(
                origin,
                "whom to impersonate (as, as-uid, as-groups, as-user-extra) has characters that an HTTP header can't carry",
            )),
        }
    };
    if user.acts_as.is_empty() {
        return Ok(headers);
    }
    add("impersonate-user", &user.acts_as)?;
    if !user.acts_as_uid.is_empty() {
        add("impersonate-uid", &user.acts_as_uid)?;
    }
    for group in &user.acts_as_groups {
        add("impersonate-group", group)?;
    }
    for (key, values) in &user.acts_as_extra {
        for value in values {
            add(&format!("impersonate-extra-{}", escape(key)), value)?;
        }
    }
    Ok(headers)
}

/// Go: `headerKeyEscape`: what isn't allowed in a header's name is percent-encoded.
fn escape(key: &str) -> String {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&b);
    key.bytes().map(|b| if legal(b) { (b as char).to_string() } else { format!("%{b:02X}") }).collect()
}
