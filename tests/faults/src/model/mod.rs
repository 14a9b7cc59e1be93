//! What a history is to be: all of it follows from its seed.

mod plan;

pub use plan::{Crash, LANGUAGES, Plan};
