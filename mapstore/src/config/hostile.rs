//! What comes from files, the environment and credential plugins, broken in any
//! way: it is read or refused, without a panic and in time.

use proptest::prelude::*;

use super::environment::Environment;
use super::*;
use crate::mutate::{config, in_time, mutated};

/// The kubeconfigs that kubectl and mapstore are compared with.
fn kubeconfigs() -> Vec<Vec<u8>> {
    let cases = include_str!("../../../tests/kubeconfigs/cases.txt").split("\n--- config\n").skip(1);
    let body = |case: &str| {
        let end = case.find("\n--- ").into_iter().chain(case.find("\n=== ")).min().unwrap_or(case.len());
        case[..end].replace("${https}", "https://h:1").replace("${ca64}", "LS0tLS0=").into_bytes()
    };
    let own: [&[u8]; 2] = [
        b"a: &a {v: 1, <<: {w: 2}}\nb: [*a, *a]\nc: {<<: [*a, {x: !!binary aGk=}]}\n? [k]\n: |-\n  text\n",
        b"\xff\xfea\0:\0 \0b\0",
    ];
    cases.map(body).chain(own.map(<[u8]>::to_vec)).collect()
}

const YAML: &[&str] = &[
    "\n",
    " ",
    "  ",
    "\t",
    "-",
    "- ",
    ": ",
    "? ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "&a ",
    "*a",
    "&b ",
    "*b",
    "!!int ",
    "!!binary ",
    "!",
    "<<",
    "<<: ",
    "|",
    ">",
    "|2-\n",
    "'",
    "\"",
    "\\",
    "#",
    "%YAML 1.1\n",
    "---\n",
    "...\n",
    "a",
    "a: ",
    "0x",
    "1e9",
    "-",
    "2001-01-01",
    "\u{feff}",
    "\u{85}",
    "\r",
    "ü",
    "current-context: c\n",
    "exec: ",
    "server: ",
];

fn nothing() -> Environment {
    Environment::of(std::iter::empty())
}

/// As far as it goes without looking at a file.
fn read_kubeconfig(bytes: &[u8]) {
    let Ok(kubeconfig) = Kubeconfig::parse(bytes, Path::new("/nowhere/..")) else { return };
    let mut merged = Kubeconfig::default();
    merged.merge(kubeconfig);
    let user = |user: &kubeconfig::User| {
        user.certificate_file.is_empty() && user.key_file.is_empty() && user.token_file.is_empty()
    };
    let without_files = merged.clusters.values().all(|cluster| cluster.authority_file.is_empty());
    for name in merged.contexts.keys() {
        let Ok(choice) = Choice::of(&merged, Some(name), "test") else { continue };
        if without_files && merged.users.values().all(user) {
            drop(choice.connect("test", &nothing(), &|| true));
        }
    }
}

const ADDRESSES: &[&str] = &[
    "http",
    "https",
    "socks5",
    "://",
    "//",
    "/",
    ":",
    "@",
    "[",
    "]",
    "::1",
    "%",
    "%25",
    "%zz",
    "?",
    "#",
    "a",
    "é",
    "1",
    "65536",
    ".",
    "..",
    "*",
    "*.",
    ",",
    " ",
    "10.0.0.0/8",
    "::ffff:0:0/96",
    "/33",
    "localhost",
    "127.0.0.1",
    "\u{7f}",
    "user:pass@",
];

fn proxies() -> Vec<Vec<u8>> {
    let texts = [
        "http://u:p@proxy:3128/p",
        "h,.a.b,*.c,10.0.0.0/8,[::1]:80,::ffff:1.2.3.4/100",
        "https://[fe80::1%25e]:1/a",
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}

const PLUGIN: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "null",
    "&a ",
    "*a",
    "<<: ",
    "\n",
    "- ",
    "status",
    "token",
    "expirationTimestamp",
    "-009999-01-01T00:00:00Z",
    "9999-12-31T23:59:60Z",
    "2030-01-01T00:00:00+25:59",
    "!!binary ",
    "|\n",
    "\\u0000",
    "\u{feff}",
];

fn plugin_outputs() -> Vec<Vec<u8>> {
    let json = br#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{"token":"t","clientCertificateData":"c","clientKeyData":"k","expirationTimestamp":"2030-01-01T00:00:00Z"}}"#;
    vec![
        json.to_vec(),
        b"kind: ExecCredential\nstatus:\n  token: |\n    t\n  expirationTimestamp: 2030-01-01T00:00:00Z\n"
            .to_vec(),
    ]
}

const PEM: &[&str] = &[
    "-----BEGIN CERTIFICATE-----\n",
    "-----END CERTIFICATE-----\n",
    "-----BEGIN -----",
    "-----BEGIN ",
    "-----END ",
    "-----",
    "-----BEGIN -----\n",
    "\n",
    "\r",
    "AQID",
    "=",
    "!",
    "Proc-Type: 4,ENCRYPTED\n",
    ":",
    "\u{a0}",
];

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_kubeconfig_is_read_or_refused(bytes in mutated(kubeconfigs(), YAML)) {
        in_time(&bytes, || read_kubeconfig(&bytes));
    }

    #[test]
    fn any_proxy_is_taken_or_refused(
        server in mutated(proxies(), ADDRESSES),
        proxy in mutated(proxies(), ADDRESSES),
        exceptions in mutated(proxies(), ADDRESSES),
    ) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (server, proxy, exceptions) = (text(&server), text(&proxy), text(&exceptions));
        let vars = [("HTTPS_PROXY", &*proxy), ("HTTP_PROXY", &*proxy), ("NO_PROXY", &*exceptions)];
        let env = Environment::of(vars.into_iter());
        in_time(exceptions.as_bytes(), || {
            drop(proxy::configured(&proxy, "test"));
            for address in [server.clone(), format!("https://{server}")].iter().filter_map(|text| Address::parse(text).ok()) {
                let _ = (address.to_uri(), address.user());
                drop(proxy::from_environment(&address, &env));
            }
        });
    }

    #[test]
    fn any_output_of_a_plugin_is_a_credential_or_not(bytes in mutated(plugin_outputs(), PLUGIN)) {
        let output = String::from_utf8_lossy(&bytes);
        in_time(&bytes, || exec::read_for_test(&output));
    }

    #[test]
    fn any_pem_is_read(bytes in mutated(vec![include_bytes!("../server/tls/certificates/leaf.pem").to_vec()], PEM)) {
        in_time(&bytes, || drop(pem::blocks(&bytes)));
    }
}

/// The I/O thread has two megabytes of stack, and a plugin may print one of anything.
#[test]
fn a_megabyte_of_one_piece_exhausts_neither_stack_nor_time() {
    for piece in [
        "[",
        "{",
        "{a: ",
        "- ",
        "? ",
        "{\"status\":",
        "!!a ",
        "&a ",
        "*a ",
        "\"",
        "a: ",
        "a:\n",
        "#\n",
        "\\",
        "'' ",
        "<<: ",
    ] {
        let output = piece.repeat((1 << 20) / piece.len());
        in_time(output.as_bytes(), || exec::read_for_test(&output));
        in_time(output.as_bytes(), || read_kubeconfig(output.as_bytes()));
    }
}

#[test]
fn a_plugin_that_prints_aliases_is_refused_in_time() {
    for (lowest, level_of) in [("{}", "{<<: [REFS]}"), ("[x, x, x]", "[REFS]")] {
        let mut text = format!("a0: &a0 {lowest}\n");
        for level in 1..13 {
            let refs = vec![format!("*a{}", level - 1); 10].join(", ");
            text += &format!("a{level}: &a{level} {}\n", level_of.replace("REFS", &refs));
        }
        text += "status: *a12\n";
        in_time(text.as_bytes(), || exec::read_for_test(&text));
        in_time(text.as_bytes(), || drop(Kubeconfig::parse(text.as_bytes(), Path::new("/"))));
    }
}
