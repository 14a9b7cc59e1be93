//! Who calls and writes during a history.

mod foreign;
mod script;
mod worker;

pub use foreign::{Foreigners, Map, manifest};
pub use script::script;
pub use worker::{Programs, Start, Worker};
