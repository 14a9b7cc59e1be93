//! What the integration tests share: an HTTPS client, the real API server, the
//! sequences of requests, and what two answers have to agree on.

#![allow(dead_code, reason = "each test binary uses its part")]

pub mod client;
pub mod normal;
pub mod real;
pub mod sequence;
