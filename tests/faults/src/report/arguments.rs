//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use crate::model::LANGUAGES;

pub struct Arguments {
    pub seed: u64,
    count: Option<u64>,
    lasts: Option<Duration>,
    pub out: PathBuf,
    /// Where the programs are.
    pub built: PathBuf,
    pub sources: PathBuf,
    pub rust: Option<PathBuf>,
    pub languages: Vec<&'static str>,
    /// So many histories at a time, each on a server of its own.
    pub jobs: u64,
    /// Sound histories are kept too.
    pub keep: bool,
    /// The first violation ends it.
    pub stops: bool,
}

const USAGE: &str = "usage: faults --built DIR --sources DIR --out DIR [--seed N] [--count N] [--seconds N] [--jobs N] \
                     [--languages rust,go,python] [--rust PROGRAM] [--keep] [--stop]";

impl Arguments {
    pub fn parse(given: impl Iterator<Item = String>) -> Result<Arguments, String> {
        let mut parsed = Arguments {
            seed: 1,
            count: None,
            lasts: None,
            out: PathBuf::new(),
            built: PathBuf::new(),
            sources: PathBuf::new(),
            rust: None,
            languages: LANGUAGES.to_vec(),
            jobs: 1,
            keep: false,
            stops: false,
        };
        let mut given = given;
        while let Some(flag) = given.next() {
            let mut value = || given.next().ok_or_else(|| format!("{flag} needs a value\n{USAGE}"));
            let number =
                |text: String| text.parse::<u64>().map_err(|_| format!("{text} is no number\n{USAGE}"));
            match flag.as_str() {
                "--seed" => parsed.seed = number(value()?)?,
                "--count" => parsed.count = Some(number(value()?)?),
                "--seconds" => parsed.lasts = Some(Duration::from_secs(number(value()?)?)),
                "--out" => parsed.out = value()?.into(),
                "--built" => parsed.built = value()?.into(),
                "--sources" => parsed.sources = value()?.into(),
                "--rust" => parsed.rust = Some(value()?.into()),
                "--jobs" => parsed.jobs = number(value()?)?.max(1),
                "--languages" => parsed.languages = languages(&value()?)?,
                "--keep" => parsed.keep = true,
                "--stop" => parsed.stops = true,
                _ => return Err(format!("{flag}\n{USAGE}")),
            }
        }
        for (folder, flag) in
            [(&parsed.out, "--out"), (&parsed.built, "--built"), (&parsed.sources, "--sources")]
        {
            if folder.as_os_str().is_empty() {
                return Err(format!("{flag} is missing\n{USAGE}"));
            }
        }
        Ok(parsed)
    }

    pub fn goes_on(&self, made: u64, took: Duration) -> bool {
        match (self.count, self.lasts) {
            (None, None) => made < 1,
            (count, lasts) => {
                count.is_none_or(|count| made < count) && lasts.is_none_or(|lasts| took < lasts)
            }
        }
    }
}

fn languages(names: &str) -> Result<Vec<&'static str>, String> {
    let known = |name| LANGUAGES.into_iter().find(|known| *known == name);
    names.split(',').map(|name| known(name).ok_or_else(|| format!("{name} is no client\n{USAGE}"))).collect()
}
