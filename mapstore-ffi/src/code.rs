//! The code numbers: fixed for ever, the same in every language.

use std::ffi::{CStr, c_char};

use crate::guard::guard_value;

/// The call succeeded.
pub const MAPSTORE_OK: i32 = 0;
/// An argument can't be used; nothing was sent.
pub const MAPSTORE_INVALID_ARGUMENT: i32 = 1;
/// The value, the map or the request is over a limit of Kubernetes: see
/// `mapstore_error_used` and `mapstore_error_limit`.
pub const MAPSTORE_TOO_LARGE: i32 = 2;
/// A condition didn't hold, or other writers kept winning until the deadline.
pub const MAPSTORE_CONFLICT: i32 = 3;
/// The write was sent and its outcome can't be told: it may have been applied,
/// or may yet be. Look before you write again.
pub const MAPSTORE_OUTCOME_UNKNOWN: i32 = 4;
/// RBAC refuses; the message names the rule that would help.
pub const MAPSTORE_FORBIDDEN: i32 = 5;
/// The cluster refuses this write: admission, quota, or a namespace being deleted.
pub const MAPSTORE_REJECTED: i32 = 6;
/// The credentials are not accepted.
pub const MAPSTORE_UNAUTHORIZED: i32 = 7;
/// The namespace doesn't exist.
pub const MAPSTORE_NAMESPACE_NOT_FOUND: i32 = 8;
/// The ConfigMap is marked immutable.
pub const MAPSTORE_IMMUTABLE: i32 = 9;
/// The API server can't be reached or doesn't answer usefully.
pub const MAPSTORE_UNAVAILABLE: i32 = 10;
/// The API server, or this process' write budget, asks to slow down.
pub const MAPSTORE_OVERLOADED: i32 = 11;
/// The deadline passed; a write was not sent, or is known not to be applied.
pub const MAPSTORE_DEADLINE: i32 = 12;
/// The call was cancelled; the message says whether a write may have been sent.
pub const MAPSTORE_CANCELLED: i32 = 13;
/// A watched cache has heard nothing for longer than allowed.
pub const MAPSTORE_STALE: i32 = 14;
/// The store is closed.
pub const MAPSTORE_CLOSED: i32 = 15;
/// The store was opened before a fork: open it again in the child.
pub const MAPSTORE_FORKED: i32 = 16;
/// Cluster, credentials or namespace can't be worked out from the configuration.
pub const MAPSTORE_CONFIG: i32 = 17;
/// A defect of mapstore, or an answer no API server should give.
pub const MAPSTORE_INTERNAL: i32 = 18;

/// The core's `ErrorKind::name`s with a NUL, see the test below.
const NAMES: [(i32, &CStr); 19] = [
    (MAPSTORE_OK, c"OK"),
    (MAPSTORE_INVALID_ARGUMENT, c"InvalidArgument"),
    (MAPSTORE_TOO_LARGE, c"TooLarge"),
    (MAPSTORE_CONFLICT, c"Conflict"),
    (MAPSTORE_OUTCOME_UNKNOWN, c"OutcomeUnknown"),
    (MAPSTORE_FORBIDDEN, c"Forbidden"),
    (MAPSTORE_REJECTED, c"Rejected"),
    (MAPSTORE_UNAUTHORIZED, c"Unauthorized"),
    (MAPSTORE_NAMESPACE_NOT_FOUND, c"NamespaceNotFound"),
    (MAPSTORE_IMMUTABLE, c"Immutable"),
    (MAPSTORE_UNAVAILABLE, c"Unavailable"),
    (MAPSTORE_OVERLOADED, c"Overloaded"),
    (MAPSTORE_DEADLINE, c"Deadline"),
    (MAPSTORE_CANCELLED, c"Cancelled"),
    (MAPSTORE_STALE, c"Stale"),
    (MAPSTORE_CLOSED, c"Closed"),
    (MAPSTORE_FORKED, c"Forked"),
    (MAPSTORE_CONFIG, c"Config"),
    (MAPSTORE_INTERNAL, c"Internal"),
];

/// The name of a code, as in the documentation: "OK", "TooLarge".
///
/// Returns static text, "Unknown" for a number that is no code of this
/// library; never NULL. Never blocks; safe from any thread.
#[unsafe(no_mangle)]
pub extern "C" fn mapstore_code_name(code: i32) -> *const c_char {
    guard_value(c"Unknown".as_ptr(), || {
        NAMES.iter().find(|(number, _)| *number == code).map(|(_, name)| name.as_ptr())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mapstore_core::ErrorKind;

    #[test]
    fn names_and_numbers_are_those_of_the_core() {
        assert_eq!(NAMES[0], (0, c"OK"));
        let ours: Vec<_> = NAMES[1..].iter().map(|(code, name)| (*code, name.to_str().unwrap())).collect();
        assert_eq!(ours, ErrorKind::ALL.map(|kind| (kind.code(), kind.name())));
    }
}
