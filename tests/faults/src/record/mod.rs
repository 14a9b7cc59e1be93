//! What is kept of a history: every call, every version of the map, every fault.

mod pressure;
mod truth;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use serde::Serialize;

pub use pressure::Pressure;
pub use truth::{Truth, current_revision};

/// The annotation by which a writer that isn't mapstore names its write.
pub const MARKER: &str = "faults/marker";

/// CLOCK_MONOTONIC in nanoseconds: the same in all processes of the machine.
pub fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the struct is there, and the clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// One JSON line for each.
pub fn write_lines<T: Serialize>(folder: &Path, name: &str, all: &[T]) -> Result<(), String> {
    let path = folder.join(name);
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    fs::create_dir_all(folder).map_err(|e| failed(&e))?;
    let mut out = BufWriter::new(File::create(&path).map_err(|e| failed(&e))?);
    for one in all {
        serde_json::to_writer(&mut out, one).map_err(|e| failed(&e))?;
        out.write_all(b"\n").map_err(|e| failed(&e))?;
    }
    out.flush().map_err(|e| failed(&e))
}
