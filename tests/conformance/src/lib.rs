//! One table of cases, run through every language on every server.
//!
//! The table (`cases/*.yaml`) is data; the driver (`conformance`) sets each case up on a cluster, speaks to a runner
//! process by the line protocol, and compares. A runner is an adapter over one language's interface and knows nothing
//! of the cases. README.md has the table's format and the protocol.

pub mod attempt;
pub mod count;
pub mod expect;
pub mod object;
pub mod results;
pub mod runner;
pub mod spec;
pub mod suite;
pub mod table;
pub mod wire;
pub mod world;
