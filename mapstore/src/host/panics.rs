//! A panic is a defect of mapstore: it ends in an error code, and prints
//! nothing (contract T3).
//!
//! What prints is the panic hook, a static of Rust's standard library, of
//! which `libmapstore.so` holds a copy of its own: a hook set here is not the
//! hook of a host that is written in Rust too. Only a static library linked
//! into such a host by the same compiler may share it; so the hook keeps quiet
//! for panics of ours alone, inside a guard or on a thread named `mapstore-*`,
//! and passes all others on to the one it found.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::atomic::AtomicBool;
use std::thread;

use crate::host::startup;
use crate::host::thread::is_ours;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The result of `body`, or what it said when it panicked.
pub fn caught<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    keep_quiet();
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(body)).map_err(|payload| {
        let text = text_of(&*payload);
        // In the last moments of a thread there is no such slot any more.
        let place =
            PLACE.try_with(RefCell::take).ok().flatten().unwrap_or_else(|| "an unknown place".to_owned());
        drop_quietly(payload);
        format!("mapstore panicked at {place}: {text}; this is a defect, please report it")
    });
    GUARDED.set(outer);
    result
}

/// What was thrown may throw again when it is dropped; then it leaks.
fn drop_quietly(payload: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    let literal = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    literal.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

fn keep_quiet() {
    static SET: AtomicBool = AtomicBool::new(false);
    // In a thread that is panicking the hook can't be changed.
    if thread::panicking() {
        return;
    }
    startup::once(&SET, || {
        let found = take_hook();
        set_hook(Box::new(move |info| {
            if !note(info) {
                found(info)
            }
        }));
    });
}

/// Whether the panic is one of ours; its place is kept for the message.
fn note(info: &PanicHookInfo<'_>) -> bool {
    let guarded = GUARDED.try_with(Cell::get).unwrap_or(false);
    if guarded {
        let place = info.location().map(ToString::to_string);
        let _ = PLACE.try_with(|slot| slot.replace(place));
    }
    guarded || is_ours()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_tells_where_and_why() {
        let text = caught(|| -> () { panic!("with {}", 3) }).unwrap_err();
        assert!(text.contains("panics.rs:") && text.contains("with 3"), "{text}");
    }

    #[test]
    fn a_guard_within_a_guard_leaves_the_outer_one_on() {
        let inner = caught(|| {
            caught(|| -> () { panic!("inner") }).unwrap_err();
            GUARDED.get()
        });
        assert_eq!(inner, Ok(true));
        assert!(!GUARDED.get());
    }

    #[test]
    fn a_payload_without_text_is_no_trouble() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        let text = caught(|| -> () { std::panic::panic_any(Bomb) }).unwrap_err();
        assert!(text.contains("no message"), "{text}");
    }
}
