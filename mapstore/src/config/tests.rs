//! What is found where, without a cluster: the environment is made up.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::ErrorKind;

/// A directory with a service account, a home and whatever a test writes; gone when dropped.
struct Place {
    folder: PathBuf,
    env: Environment,
}

impl Place {
    fn new() -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mapstore-config-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(folder.join("home/.kube")).unwrap();
        std::fs::create_dir_all(folder.join("account")).unwrap();
        let mut env = Environment::of(std::iter::empty());
        env.home = Some(folder.join("home"));
        env.service_account = folder.join("account");
        Place { folder, env }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn set(&mut self, name: &str, value: impl Into<std::ffi::OsString>) {
        self.env.set(name, value);
    }

    fn in_cluster(&mut self) {
        self.set("KUBERNETES_SERVICE_HOST", "10.0.0.1");
        self.set("KUBERNETES_SERVICE_PORT", "443");
        for (file, text) in [("token", "t0psecret\n"), ("ca.crt", ""), ("namespace", " pod-ns\n")] {
            self.write(&format!("account/{file}"), text);
        }
    }

    fn located(&self) -> Source {
        locate(&given(), &self.env).unwrap()
    }

    fn load(&self) -> Result<(Cluster, String)> {
        load(&given(), &self.env, &|| true)
    }

    /// Loads this kubeconfig by its path.
    fn try_text(&self, text: &str) -> Result<(Cluster, String)> {
        load(&given().kubeconfig(self.write("config", text)), &self.env, &|| true)
    }

    fn error(&self, text: &str) -> String {
        let error = self.try_text(text).err().expect("it was accepted");
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        error.to_string()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Given {
    fn kubeconfig(self, path: impl Into<PathBuf>) -> Self {
        Given { kubeconfig: Some(path.into()), ..self }
    }

    fn context(self, context: &str) -> Self {
        Given { context: Some(context.into()), ..self }
    }

    fn namespace(self, namespace: &str) -> Self {
        Given { namespace: Some(namespace.into()), ..self }
    }
}

fn given() -> Given {
    Given::default()
}

fn text(cluster: &str, user: &str, context: &str) -> String {
    format!(
        "{{current-context: c, contexts: [{{name: c, context: {{cluster: c, user: u{context}}}}}], \
         clusters: [{{name: c, cluster: {{{cluster}}}}}], users: [{{name: u, user: {{{user}}}}}]}}"
    )
}

fn server() -> String {
    text("server: 'https://k8s.example:6443'", "token: t0psecret", "")
}

fn file(source: Source) -> PathBuf {
    match source {
        Source::Kubeconfig { files, .. } => files[0].clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_of_the_places_wins() {
    let mut place = Place::new();
    let home = place.write("home/.kube/config", "");
    assert_eq!(file(place.located()), home);
    place.in_cluster();
    assert!(matches!(place.located(), Source::InCluster { .. }));
    place.set("KUBECONFIG", "/a:/b");
    let Source::Kubeconfig { files, origin } = place.located() else { panic!() };
    assert_eq!(files, [PathBuf::from("/a"), PathBuf::from("/b")]);
    assert!(origin.contains("KUBECONFIG"), "{origin}");
    place.set("MAPSTORE_CLUSTER_CONFIG_PATH", "");
    assert_eq!(file(place.located()), PathBuf::from("/a"));
    place.set("MAPSTORE_CLUSTER_CONFIG_PATH", "/own");
    assert_eq!(file(place.located()), PathBuf::from("/own"));
    let given = locate(&given().kubeconfig("/given"), &place.env).unwrap();
    assert_eq!(file(given), PathBuf::from("/given"));
}

#[test]
fn empty_variables_are_not_set() {
    let mut place = Place::new();
    for name in ["MAPSTORE_CLUSTER_CONFIG_PATH", "KUBECONFIG", "KUBERNETES_SERVICE_HOST"] {
        place.set(name, "");
    }
    place.set("KUBERNETES_SERVICE_PORT", "443");
    let error = locate(&given(), &place.env).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let home = place.folder.join("home/.kube/config");
    for tried in
        ["MAPSTORE_CLUSTER_CONFIG_PATH", "KUBECONFIG", "KUBERNETES_SERVICE_HOST", home.to_str().unwrap()]
    {
        assert!(error.to_string().contains(tried), "{tried}: {error}");
    }
    place.set("KUBECONFIG", ":");
    assert!(locate(&given(), &place.env).is_err());
    place.env.home = None;
    assert!(locate(&given(), &place.env).unwrap_err().to_string().contains("no home directory"));
}

#[test]
fn the_namespace_comes_from_the_first_that_names_one() {
    let mut place = Place::new();
    let namespace = |place: &Place, given: Given, context: &str| {
        let file = place.write("config", &text("server: 'https://k'", "token: t", context));
        load(&given.kubeconfig(file), &place.env, &|| true).map(|(_, namespace)| namespace)
    };
    assert_eq!(namespace(&place, given(), "").unwrap(), "default");
    assert_eq!(namespace(&place, given(), ", namespace: ''").unwrap(), "default");
    place.in_cluster();
    assert_eq!(namespace(&place, given(), "").unwrap(), "pod-ns");
    assert_eq!(namespace(&place, given(), ", namespace: context-ns").unwrap(), "context-ns");
    place.set("NAMESPACE", " \n");
    assert_eq!(namespace(&place, given(), ", namespace: context-ns").unwrap(), "context-ns");
    place.set("NAMESPACE", " env-ns\n");
    assert_eq!(namespace(&place, given(), ", namespace: context-ns").unwrap(), "env-ns");
    assert_eq!(namespace(&place, given().namespace("own"), "").unwrap(), "own");
    place.set("NAMESPACE", "a/b");
    let error = namespace(&place, given(), "").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("NAMESPACE"), "{error}");
    let error = namespace(&place, given().namespace("a/b"), "").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}

#[test]
fn a_strict_look_up_asks_few_places() {
    let mut place = Place::new();
    let strict = || Given { strict: true, ..given() };
    place.write("home/.kube/config", &server());
    place.set("KUBECONFIG", place.folder.join("home/.kube/config"));
    let error = load(&strict(), &place.env, &|| true).err().unwrap();
    assert!(error.to_string().contains("strict_lookup"), "{error}");
    let file = place.write("own", &text("server: 'https://k'", "token: t", ", namespace: context-ns"));
    place.set("MAPSTORE_CLUSTER_CONFIG_PATH", file);
    let error = load(&strict(), &place.env, &|| true).err().unwrap();
    assert!(error.to_string().contains("NAMESPACE"), "{error}");
    place.set("NAMESPACE", " env-ns\n");
    assert_eq!(load(&strict(), &place.env, &|| true).unwrap().1, "env-ns");
    place.set("NAMESPACE", "");
    place.set("MAPSTORE_CLUSTER_CONFIG_PATH", "");
    place.in_cluster();
    let (cluster, namespace) = load(&strict(), &place.env, &|| true).unwrap();
    assert_eq!(namespace, "pod-ns");
    assert_eq!(cluster.kube.cluster_url.host(), Some("10.0.0.1"));
}

#[test]
fn a_service_account_is_enough() {
    let mut place = Place::new();
    place.in_cluster();
    let (cluster, namespace) = place.load().unwrap();
    assert_eq!(namespace, "pod-ns");
    assert_eq!(cluster.kube.cluster_url.to_string(), "https://10.0.0.1:443/");
    assert!(matches!(&cluster.auth, Auth::TokenFile(file) if *file == place.folder.join("account/token")));
    assert_eq!(read_token(&place.folder.join("account/token"), || true).unwrap(), "t0psecret");
    place.set("KUBERNETES_SERVICE_HOST", "fd00::1");
    assert_eq!(place.load().unwrap().0.kube.cluster_url.host(), Some("[fd00::1]"));
    for missing in ["token", "ca.crt"] {
        let path = place.folder.join("account").join(missing);
        std::fs::rename(&path, place.folder.join("away")).unwrap();
        let error = place.load().err().unwrap().to_string();
        assert!(error.contains(missing) && error.contains("service account"), "{error}");
        std::fs::rename(place.folder.join("away"), path).unwrap();
    }
}

#[test]
fn a_token_file_that_says_nothing() {
    let place = Place::new();
    let empty = place.write("token", " \n");
    assert!(read_token(&empty, || true).unwrap_err().to_string().contains("empty"));
    let error = read_token(&place.folder.join("none"), || true).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("none"), "{error}");
}

#[test]
fn a_broken_kubeconfig_is_not_quoted() {
    let place = Place::new();
    for broken in [
        "users: [{name: u, user: {token: t0psecret, token: t0psecret}",
        "users:\n- name: u\n  user: {token: [t0psecret]}\n",
        "clusters: t0psecret",
        "t0psecret",
        "a: b: t0psecret",
        "users: [{name: u, user: {password: !!binary t0psecret, exec: t0psecret}}]",
        "\u{0}t0psecret",
        "current-context: &a [t0psecret]",
    ] {
        let error = place.error(broken);
        assert!(!error.contains("t0psecret"), "{error}");
        assert!(error.contains("config"), "{error}");
    }
    let error = place.error("users:\n- name: u\n  user: {token: [t0psecret]}\n");
    assert!(error.contains("users[0].user.token"), "{error}");
}

#[test]
fn what_is_missing_in_a_kubeconfig_is_named() {
    let place = Place::new();
    assert!(place.error("{}").contains("current-context"));
    assert!(place.error("").contains("current-context"));
    assert!(place.error("current-context: nope").contains("nope"));
    let gone = |cluster, user| {
        place.error(&format!(
            "{{current-context: c, contexts: [{{name: c, context: {{cluster: {cluster}, user: {user}}}}}], \
             clusters: [{{name: c, cluster: {{server: 'https://k'}}}}], users: [{{name: u, user: {{}}}}]}}"
        ))
    };
    assert!(gone("gone-cluster", "u").contains("gone-cluster"));
    assert!(gone("c", "gone-user").contains("gone-user"));
    let file = place.write("config", &server());
    let error = load(&given().kubeconfig(file).context("nope"), &place.env, &|| true).err().unwrap();
    assert!(error.to_string().contains("nope"), "{error}");
    let error = load(&given().kubeconfig(place.folder.join("none")), &place.env, &|| true).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("none"), "{error}");
}

#[test]
fn a_server_has_to_be_an_address() {
    let place = Place::new();
    for bad in [
        "",
        "''",
        "'k8s.example/path'",
        "'http://u:t0psecret@k'",
        "'ftp://k8s.example'",
        "'https://'",
        "'unix:///a'",
        "' '",
    ] {
        let error = place.error(&text(&format!("server: {bad}"), "token: t0psecret", ""));
        assert!(error.contains("server") && !error.contains("t0psecret"), "{bad}: {error}");
    }
}

#[test]
fn paths_are_relative_to_their_file() {
    let place = Place::new();
    std::fs::create_dir_all(place.folder.join("certs")).unwrap();
    place.write("certs/ca.crt", "");
    let (cluster, _) = place
        .try_text(&text(
            "server: 'https://k', certificate-authority: certs/ca.crt",
            "tokenFile: account/token",
            "",
        ))
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(cluster.kube.root_cert_file, Some(place.folder.join("certs/ca.crt")));
    assert!(matches!(&cluster.auth, Auth::TokenFile(file) if *file == place.folder.join("account/token")));
}

#[test]
fn credentials_a_library_cannot_use_are_refused() {
    let place = Place::new();
    let server = "server: 'https://k'";
    let error = place.error(&text(server, "auth-provider: {name: gcp, config: {a: t0psecret}}", ""));
    assert!(error.contains("gcp") && error.contains("exec") && !error.contains("t0psecret"), "{error}");
    let always = "exec: {apiVersion: client.authentication.k8s.io/v1, command: x, interactiveMode: Always}";
    assert!(place.error(&text(server, always, "")).contains("interactiveMode"));
    let nothing = "exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never}";
    assert!(place.error(&text(server, nothing, "")).contains("command"));
}

#[test]
fn no_credential_stays_with_kube() {
    let place = Place::new();
    for (user, wanted) in [
        ("token: t0psecret", "token"),
        ("token: t0psecret, tokenFile: /dev/null/none", "token"),
        ("tokenFile: /file", "file"),
        ("username: u, password: t0psecret", "basic"),
        ("exec: {apiVersion: client.authentication.k8s.io/v1, command: x, interactiveMode: Never}", "exec"),
        ("", "none"),
    ] {
        let (cluster, _) = place.try_text(&text("server: 'https://k'", user, "")).unwrap();
        let got = match &cluster.auth {
            Auth::None => "none",
            Auth::Token(_) => "token",
            Auth::TokenFile(_) => "file",
            Auth::Basic { .. } => "basic",
            Auth::Exec(_) => "exec",
        };
        assert_eq!(got, wanted, "{user}");
        let left = &cluster.kube.auth_info;
        assert!(left.token.is_none() && left.token_file.is_none() && left.exec.is_none(), "{user}");
        assert!(left.username.is_none() && left.password.is_none() && left.auth_provider.is_none(), "{user}");
    }
}

#[test]
fn proxies() {
    let proxied = |variables: &[(&str, &str)], server: &str, more: &str| {
        let mut place = Place::new();
        for (name, value) in variables {
            place.set(name, *value);
        }
        let (cluster, _) = place.try_text(&text(&format!("server: '{server}'{more}"), "token: t", ""))?;
        Ok::<_, Error>(cluster.kube.proxy_url.map(|url| url.to_string()))
    };
    let (out, local) = ("https://k8s.example:6443", "https://127.0.0.1:6443");
    let set = ("HTTPS_PROXY", "http://proxy:3128");
    let via = Some("http://proxy:3128/".to_owned());
    assert_eq!(proxied(&[], out, "").unwrap(), None);
    assert_eq!(proxied(&[set], out, "").unwrap(), via);
    assert_eq!(proxied(&[("https_proxy", "proxy:3128")], out, "").unwrap(), via);
    assert_eq!(proxied(&[("HTTP_PROXY", "http://proxy:3128")], out, "").unwrap(), None);
    for server in [local, "https://localhost:1", "https://[::1]:1", "https://127.9.9.9", "http://k8s.example"]
    {
        assert_eq!(proxied(&[set], server, "").unwrap(), None, "{server}");
    }
    for exception in ["k8s.example", ".example", "example", "*", "a.b, k8s.example"] {
        assert_eq!(proxied(&[set, ("NO_PROXY", exception)], out, "").unwrap(), None, "{exception}");
    }
    assert_eq!(proxied(&[set, ("NO_PROXY", "10.0.0.0/8")], "https://10.1.2.3", "").unwrap(), None);
    assert_eq!(proxied(&[set, ("NO_PROXY", "proxy, other.example")], out, "").unwrap(), via);
    let own = Some("http://own:1/".to_owned());
    assert_eq!(proxied(&[set, ("NO_PROXY", "*")], out, ", proxy-url: 'http://own:1'").unwrap(), own);
    let error = proxied(&[("HTTPS_PROXY", "ftp://u:t0psecret@x:1")], out, "").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("HTTPS_PROXY") && !error.to_string().contains("t0psecret"), "{error}");
}

#[test]
fn whatever_differs_in_a_cluster_or_a_user_is_another_connection() {
    let place = Place::new();
    let identity = |cluster: &str, user: &str| {
        let (cluster, _) = place.try_text(&text(&format!("server: 'https://k'{cluster}"), user, "")).unwrap();
        cluster.identity()
    };
    let plugin = "exec: {apiVersion: client.authentication.k8s.io/v1, command: x, interactiveMode: Never";
    let extension = |value: &str| {
        format!(
            ", extensions: [{{name: client.authentication.k8s.io/exec, extension: {{audience: {value}}}}}]"
        )
    };
    let mut seen = vec![
        identity("", "token: t"),
        identity("", "token: t2"),
        identity(", tls-server-name: other", "token: t"),
        identity(", insecure-skip-tls-verify: true", "token: t"),
        identity(", proxy-url: 'http://p:1'", "token: t"),
        identity(", something-new: true", "token: t"),
        identity("", "token: t, something-new: true"),
        identity("", "token: t, as: a"),
        identity("", "token: t, as: a, as-uid: u"),
        identity("", "token: t, as: a, as-groups: [g]"),
        identity("", "token: t, as: a, as-user-extra: {scopes: [view]}"),
        identity("", "token: t, as: a, as-user-extra: {scopes: [edit]}"),
        identity(&extension("one"), &format!("{plugin}, provideClusterInfo: true}}")),
        identity(&extension("two"), &format!("{plugin}, provideClusterInfo: true}}")),
        identity(&extension("one"), &format!("{plugin}}}")),
        identity("", &format!("{plugin}, env: [{{name: PROFILE, value: a}}]}}")),
        identity("", &format!("{plugin}, env: [{{name: PROFILE, value: b}}]}}")),
    ];
    let all = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), all);
    assert_eq!(identity("", "token: t"), identity("", "token: t"));
}

#[test]
fn all_of_an_impersonation_is_sent() {
    let place = Place::new();
    let user = "token: t, as: a, as-uid: u, as-groups: [g, h], as-user-extra: {'example.org/scope a%': [x, v], z: []}";
    let (cluster, _) = place.try_text(&text("server: 'https://k'", user, "")).unwrap();
    let headers = cluster.kube.headers.iter();
    let headers: Vec<_> =
        headers.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    assert_eq!(
        headers,
        [
            "impersonate-user: a",
            "impersonate-uid: u",
            "impersonate-group: g",
            "impersonate-group: h",
            "impersonate-extra-example.org%2fscope%20a%25: x",
            "impersonate-extra-example.org%2fscope%20a%25: v",
        ]
    );
    for without in ["as-uid: u", "as-groups: [g]", "as-user-extra: {a: [b]}"] {
        assert!(place.error(&text("server: 'https://k'", without, "")).contains("impersonate"), "{without}");
    }
}

#[test]
fn nothing_secret_goes_over_plain_http() {
    let place = Place::new();
    let plugin = "exec: {apiVersion: client.authentication.k8s.io/v1, command: x, interactiveMode: Never}";
    for user in ["token: t", "tokenFile: /none", "username: u, password: p", plugin, "client-key-data: aGk="]
    {
        for server in ["http://127.0.0.1:1", "http://k8s.example", "k8s.example:1"] {
            let (cluster, _) = place.try_text(&text(&format!("server: '{server}'"), user, "")).unwrap();
            assert!(matches!(cluster.auth, Auth::None), "{server} {user}");
            assert!(cluster.kube.auth_info.client_key_data.is_none());
        }
    }
}

#[test]
fn several_files_are_merged_as_kubectl_does() {
    let mut place = Place::new();
    std::fs::create_dir_all(place.folder.join("sub")).unwrap();
    place.write("first", "{current-context: '', users: [{name: u, user: {tokenFile: t}}]}");
    place.write("sub/second", &text("server: 'https://second'", "token: second", ""));
    place.write(
        "third",
        "{current-context: other, clusters: [{name: c, cluster: {server: 'https://third'}}]}",
    );
    let paths = ["none", "first", "sub/second", "third"].map(|name| place.folder.join(name));
    place.set("KUBECONFIG", std::env::join_paths(paths).unwrap());
    let (cluster, _) = place.load().unwrap();
    assert_eq!(cluster.kube.cluster_url.host(), Some("second"));
    assert!(matches!(&cluster.auth, Auth::TokenFile(path) if *path == place.folder.join("t")));
    place.write("third", "users: [{name: t0psecret, user: [t0psecret]}]");
    let error = place.load().err().unwrap().to_string();
    assert!(error.contains("third\" of KUBECONFIG") && error.contains("users[0].user"), "{error}");
    assert!(!error.contains("t0psecret"), "{error}");
}

#[test]
fn a_key_and_a_certificate_that_are_pipes_are_read_at_open() {
    let place = Place::new();
    let pipe = |name: &str, text: &'static str| {
        let path = place.folder.join(name);
        let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: NUL-terminated.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        std::thread::spawn(move || std::fs::write(path, text).unwrap())
    };
    let writers = [pipe("cert", "a certificate"), pipe("key", "a key")];
    let user = "client-certificate: cert, client-key: key";
    let file = place.write("config", &text("server: 'https://k'", user, ""));
    let (cluster, _) = load(&given().kubeconfig(file), &place.env, &|| false).unwrap();
    let info = &cluster.kube.auth_info;
    assert!(info.client_certificate.is_none() && info.client_key.is_none());
    assert_eq!(info.client_certificate_data.as_deref(), Some("YSBjZXJ0aWZpY2F0ZQ=="));
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    let file = place.write("config", &text("server: 'https://k'", user, ""));
    let error = load(&given().kubeconfig(file), &place.env, &|| true).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Deadline, "{error}");
    assert!(error.to_string().contains("client-certificate"), "{error}");
}

#[test]
fn a_token_is_for_a_token_file_that_is_not_there() {
    let place = Place::new();
    let auth = |user: &str| place.try_text(&text("server: 'https://k'", user, "")).unwrap().0.auth;
    assert!(matches!(auth("token: t, tokenFile: gone"), Auth::Token(token) if token == "t"));
    assert!(matches!(auth("tokenFile: gone"), Auth::TokenFile(_)));
    place.write("there", "f");
    assert!(matches!(auth("token: t, tokenFile: there"), Auth::TokenFile(_)));
}
