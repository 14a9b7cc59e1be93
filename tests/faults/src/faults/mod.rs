//! What is done to the clients' requests, and to whole processes.

mod crash;
mod credentials;
mod kind;
mod lottery;

pub use crash::{CRASHES, Crashes, Victims};
pub use credentials::Credentials;
pub use kind::Kind;
pub use lottery::{Fired, lottery};
