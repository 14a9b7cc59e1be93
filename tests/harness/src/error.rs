//! Why a test could not get what it asked of a cluster.

use std::fmt;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug)]
pub enum Error {
    /// This kind of cluster can't do it, whatever the test does. The text names the cluster and the reason.
    NotRunnable(String),
    /// It should have worked.
    Failed(String),
}

impl Error {
    /// What was tried and what happened, in one line.
    pub fn failed(doing: impl fmt::Display, reason: impl fmt::Display) -> Error {
        Error::Failed(format!("{doing}: {reason}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotRunnable(why) => write!(f, "not runnable: {why}"),
            Error::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {}
