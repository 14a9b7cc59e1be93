//! Programs run by tests: a clean environment, and a conversation line by line that can't hang.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Error, Result};

/// What a program may still see of our environment: how to find programs and libraries, and how sanitizers report.
/// No cluster, namespace, proxy or token is among it.
const INHERITED: [&str; 9] = [
    "PATH",
    "TMPDIR",
    "LANG",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "RUST_BACKTRACE",
    "ASAN_OPTIONS",
    "LSAN_OPTIONS",
    "UBSAN_OPTIONS",
];

/// A command with a clean environment whose HOME is an own, normally empty directory.
pub fn clean_command(program: impl AsRef<std::ffi::OsStr>, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("HOME", home);
    for name in INHERITED {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Why no line came.
#[derive(Debug)]
pub enum Silence {
    /// Nothing within the given time. The program still runs.
    Hung(Duration),
    /// The program has ended; how.
    Ended(String),
}

/// A child process that is asked in one line and answers in one line. Killed, by its id, when dropped.
#[derive(Debug)]
pub struct LineProgram {
    child: Child,
    requests: Option<Sender<Vec<u8>>>,
    answers: Receiver<String>,
    stderr: Arc<Mutex<String>>,
}

impl LineProgram {
    pub fn start(mut command: Command) -> Result<LineProgram> {
        let doing = format!("start {}", command.get_program().display());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| Error::failed(doing, e))?;
        let requests = pump_requests(child.stdin.take().expect("piped"));
        let answers = pump_lines(child.stdout.take().expect("piped"));
        let stderr = collect(child.stderr.take().expect("piped"));
        Ok(LineProgram { child, requests: Some(requests), answers, stderr })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends one line (without its end). A program that doesn't read can't hold us up.
    pub fn send(&mut self, line: &str) {
        if let Some(requests) = &self.requests {
            let _ = requests.send(format!("{line}\n").into_bytes());
        }
    }

    /// The next line of its standard output.
    pub fn receive(&mut self, patience: Duration) -> std::result::Result<String, Silence> {
        const SLICE: Duration = Duration::from_millis(50);
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.answers.recv_timeout(left.min(SLICE)) {
                Ok(line) => return Ok(line),
                Err(RecvTimeoutError::Timeout) if left.is_zero() => {
                    return Err(Silence::Hung(patience));
                }
                // A grandchild may hold the pipe open after the program's end: look at the program too.
                Err(RecvTimeoutError::Timeout) => {
                    if let Ok(Some(status)) = self.child.try_wait() {
                        let last = self.answers.recv_timeout(SLICE);
                        return last.map_err(|_| Silence::Ended(status.to_string()));
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Err(Silence::Ended(self.end(SLICE))),
            }
        }
    }

    pub fn ask(&mut self, line: &str, patience: Duration) -> std::result::Result<String, Silence> {
        self.send(line);
        self.receive(patience)
    }

    /// What it has written on standard error since the last call.
    pub fn take_stderr(&self) -> String {
        std::mem::take(&mut self.stderr.lock().expect("no panic holds it"))
    }

    /// Closes its standard input and waits for its end; kills it if that takes too long.
    pub fn finish(&mut self, patience: Duration) -> Option<ExitStatus> {
        self.requests = None;
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(2));
        }
        self.kill();
        None
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn end(&mut self, patience: Duration) -> String {
        match self.finish(patience) {
            Some(status) => status.to_string(),
            None => "it closed its output and was killed".to_owned(),
        }
    }
}

impl Drop for LineProgram {
    fn drop(&mut self) {
        self.kill();
    }
}

fn pump_requests(mut stdin: ChildStdin) -> Sender<Vec<u8>> {
    let (sender, requests) = channel::<Vec<u8>>();
    thread::spawn(move || {
        for request in requests {
            if stdin.write_all(&request).and_then(|()| stdin.flush()).is_err() {
                return;
            }
        }
    });
    sender
}

fn pump_lines(stdout: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(std::io::Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
    lines
}

fn collect(mut stderr: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let shared = Arc::clone(&text);
    thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(n @ 1..) = stderr.read(&mut chunk) {
            let part = String::from_utf8_lossy(&chunk[..n]);
            shared.lock().expect("no panic holds it").push_str(&part);
        }
    });
    text
}
