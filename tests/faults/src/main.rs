//! Makes histories and has them judged: `faults run --seed 1 --count 20`. See tests/faults/README.md.

mod faults;
mod history;
mod model;
mod random;
mod record;
mod report;
mod traffic;

use std::process::ExitCode;

fn main() -> ExitCode {
    match report::Arguments::parse(std::env::args().skip(1)).and_then(|arguments| report::run(&arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("faults: {why}");
            ExitCode::from(2)
        }
    }
}
