//! The `mapstore-dev` program: a server until SIGTERM, SIGINT, SIGHUP, or with
//! `--exit-with-stdin` the end of its input. Argument parsing and exit codes
//! only; the server is the library.

use std::io::{self, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use mapstore_dev::DevServer;

const HELP: &str = "\
A loopback Kubernetes API server for ConfigMaps, in memory, for demos and tests.

Usage: mapstore-dev [--port N] --write-kubeconfig FILE [options]

Options:
  --port N                 the port on 127.0.0.1 (default: any free one)
  --write-kubeconfig FILE  where to put the administrator's kubeconfig (mode 0600)
  --namespace NS           create this namespace (may be given several times);
                           the first one is the kubeconfig's namespace
  --exit-with-stdin        end when standard input ends
  --help, --version

When it is ready it prints one line:
  mapstore-dev: listening on https://127.0.0.1:PORT, kubeconfig FILE
What it holds is gone when it ends.";

#[derive(Debug, Default, PartialEq)]
struct Arguments {
    port: u16,
    kubeconfig: Option<PathBuf>,
    namespaces: Vec<String>,
    exit_with_stdin: bool,
    /// Text to print instead of serving.
    print: Option<String>,
}

/// Reads `--flag value` and `--flag=value`.
fn parse(arguments: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut parsed = Arguments::default();
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next() {
        let (flag, mut inline) = match argument.split_once('=') {
            Some((flag, value)) => (flag.to_string(), Some(value.to_string())),
            None => (argument.clone(), None),
        };
        let mut value = |what: &str| {
            let value = inline.take().or_else(|| arguments.next());
            value.filter(|v| !v.is_empty()).ok_or_else(|| format!("{flag} needs {what}"))
        };
        match flag.as_str() {
            "--port" => {
                let text = value("a port number")?;
                let port = text.parse::<u16>();
                parsed.port = port.map_err(|_| format!("--port {text}: not a port number (0 to 65535)"))?;
            }
            "--write-kubeconfig" => parsed.kubeconfig = Some(value("a file name")?.into()),
            "--namespace" => parsed.namespaces.push(value("a namespace's name")?),
            "--exit-with-stdin" => parsed.exit_with_stdin = true,
            "--help" | "-h" => parsed.print = Some(HELP.into()),
            "--version" => parsed.print = Some(concat!("mapstore-dev ", env!("CARGO_PKG_VERSION")).into()),
            _ => return Err(format!("unknown argument {argument}")),
        }
        if inline.is_some() {
            return Err(format!("{flag} takes no value"));
        }
    }
    if parsed.print.is_none() && parsed.kubeconfig.is_none() {
        return Err("--write-kubeconfig FILE is missing".into());
    }
    Ok(parsed)
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("mapstore-dev: {error}; see mapstore-dev --help");
            return ExitCode::from(2);
        }
    };
    if let Some(text) = &arguments.print {
        println!("{text}");
        return ExitCode::SUCCESS;
    }
    match serve(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mapstore-dev: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: &Arguments) -> io::Result<()> {
    // Before any thread exists, so that all of them leave these to `wait`.
    let signals = Signals::block();
    let server = DevServer::builder().port(arguments.port).start()?;
    for namespace in &arguments.namespaces {
        if !server.create_namespace(namespace) {
            return Err(io::Error::other(format!("--namespace {namespace}: not a namespace's name")));
        }
    }
    let namespace = arguments.namespaces.first().map_or("default", String::as_str);
    if let Some(path) = &arguments.kubeconfig {
        server.write_kubeconfig_in(namespace, path)?;
        println!("mapstore-dev: listening on {}, kubeconfig {}", server.url(), path.display());
    }
    if arguments.exit_with_stdin {
        std::thread::spawn(|| {
            let _ = io::copy(&mut io::stdin().lock().by_ref(), &mut io::sink());
            // SAFETY: a signal to our own process; `wait` takes it.
            unsafe { libc::kill(libc::getpid(), libc::SIGTERM) };
        });
    }
    signals.wait();
    server.stop();
    Ok(())
}

/// The signals that end the program, blocked and waited for: no handler runs.
struct Signals(libc::sigset_t);

impl Signals {
    fn block() -> Signals {
        // SAFETY: sigemptyset initialises the set before it is used.
        unsafe {
            let mut set = std::mem::MaybeUninit::uninit();
            libc::sigemptyset(set.as_mut_ptr());
            let mut set = set.assume_init();
            for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
                libc::sigaddset(&mut set, signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
            Signals(set)
        }
    }

    fn wait(&self) {
        let mut signal = 0;
        // SAFETY: both point to live values; the set is blocked in every thread.
        unsafe { libc::sigwait(&self.0, &mut signal) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Arguments, String> {
        parse(text.split_whitespace().map(str::to_string))
    }

    #[test]
    fn arguments() {
        let a = parsed("--port 7001 --write-kubeconfig=f --namespace a --namespace=b").unwrap();
        assert_eq!((a.port, a.kubeconfig), (7001, Some("f".into())));
        assert_eq!(a.namespaces, ["a", "b"]);
        assert_eq!(parsed("--what"), Err("unknown argument --what".into()));
        assert_eq!(parsed("--port"), Err("--port needs a port number".into()));
        assert!(parsed("--port 70000").unwrap_err().contains("0 to 65535"));
        assert!(parsed("--exit-with-stdin=1").unwrap_err().contains("no value"));
        assert!(parsed("").unwrap_err().contains("--write-kubeconfig FILE is missing"));
        assert!(parsed("--help").unwrap().print.is_some());
    }
}
