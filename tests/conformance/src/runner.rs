//! A runner process: started with a clean environment, asked one line at a time, killed by its id when it hangs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mapstore_harness::{LineProgram, Scratch, Silence, clean_command};

use crate::wire::Line;

/// Which program it is.
#[derive(Clone, Debug)]
pub struct RunnerSpec {
    pub name: String,
    pub command: Vec<String>,
}

pub struct Runner {
    program: LineProgram,
    patience: Duration,
    _home: Scratch,
}

impl RunnerSpec {
    /// `rust`, `c`, or `NAME=COMMAND WORDS…`. The two known ones stand beside this program.
    pub fn from_argument(argument: &str, beside: &Path) -> Result<RunnerSpec, String> {
        let (name, command) = match argument.split_once('=') {
            Some((name, command)) => (name, command.split_whitespace().map(str::to_owned).collect()),
            None if ["rust", "c"].contains(&argument) => (argument, vec![known(argument, beside)]),
            None => return Err(format!("{argument} is no runner: rust, c, or NAME=COMMAND")),
        };
        match command.first() {
            Some(_) => Ok(RunnerSpec { name: name.to_owned(), command }),
            None => Err(format!("{name}= has no command")),
        }
    }
}

fn known(name: &str, beside: &Path) -> String {
    let path: PathBuf = beside.join(format!("runner-{name}"));
    path.display().to_string()
}

impl Runner {
    /// `env` is added to the clean environment; HOME is an empty directory unless it says otherwise.
    pub fn start(
        spec: &RunnerSpec,
        env: &BTreeMap<String, String>,
        patience: Duration,
    ) -> Result<Runner, String> {
        let home = Scratch::new("home").map_err(|e| e.to_string())?;
        let mut command = clean_command(&spec.command[0], home.path());
        command.args(&spec.command[1..]).envs(env);
        Ok(Runner { program: LineProgram::start(command).map_err(|e| e.to_string())?, patience, _home: home })
    }

    /// One request, one answer. After an error the runner is of no use any more.
    pub fn ask(&mut self, request: &Line) -> Result<Line, String> {
        let line = self.program.ask(&request.encode(), self.patience).map_err(|silence| match silence {
            Silence::Hung(time) => {
                self.program.kill();
                format!("the runner hung: no answer in {time:?}; killed")
            }
            Silence::Ended(how) => format!("the runner ended: {how}{}", self.stderr()),
        })?;
        match line.split(' ').next() {
            Some("ok" | "err") => {
                Line::parse(&line).map_err(|e| format!("the answer can't be read ({e}): {}", cut(&line)))
            }
            _ => Err(format!("the runner answered: {}", cut(&line))),
        }
    }

    /// What it printed since the last look: the library prints nothing (T3).
    pub fn printed(&self) -> Option<String> {
        Some(self.program.take_stderr()).filter(|text| !text.is_empty())
    }

    /// Ends it by the protocol. A sanitizer or valgrind reports by the exit status.
    pub fn quit(mut self) -> Result<(), String> {
        self.program.send("quit");
        match self.program.finish(self.patience) {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(format!("the runner quit with {status}{}", self.stderr())),
            None => Err("the runner did not quit; killed".to_owned()),
        }
    }

    fn stderr(&self) -> String {
        match self.printed() {
            Some(text) => format!(", having printed:\n{}", text.trim_end()),
            None => String::new(),
        }
    }
}

fn cut(line: &str) -> String {
    let short: String = line.chars().take(200).collect();
    if short.len() < line.len() { format!("{short}…") } else { short }
}
