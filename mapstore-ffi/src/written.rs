//! `mapstore_written_t`: what a write did.

use std::ffi::c_char;
use std::mem::offset_of;
use std::ptr::NonNull;

use mapstore_core::Revision;

/// The size of a revision's text, its NUL included.
pub const MAPSTORE_REVISION_SIZE: usize = 48;

/// What a write did. The caller's memory, filled by the call that succeeded.
#[repr(C)]
pub struct Written {
    /// The revision the write made, or was compared at if nothing changed,
    /// NUL-terminated; "" if the map doesn't exist and nothing had to be
    /// written. To be compared for equality only.
    pub revision: [c_char; MAPSTORE_REVISION_SIZE],
    /// 1 if anything was written, else 0.
    pub changed: i32,
    /// 0.
    pub reserved: i32,
}

const _: () = assert!(size_of::<Written>() == 56 && align_of::<Written>() == 4);
const _: () = assert!(offset_of!(Written, changed) == 48 && offset_of!(Written, reserved) == 52);

/// A revision as C text; `None` is "". Kubernetes' have at most 20 digits, and
/// the core takes none that doesn't fit.
pub fn revision_text(revision: Option<&Revision>) -> [c_char; MAPSTORE_REVISION_SIZE] {
    let mut text = [0; MAPSTORE_REVISION_SIZE];
    let digits = revision.map_or("", Revision::as_str).as_bytes();
    for (place, digit) in text[..MAPSTORE_REVISION_SIZE - 1].iter_mut().zip(digits) {
        *place = *digit as c_char;
    }
    text
}

/// Tells the caller, unless it doesn't want to know.
///
/// # Safety
/// `place` is NULL or can be written.
pub unsafe fn tell(place: *mut Written, written: &mapstore_core::Written) {
    if let Some(place) = NonNull::new(place) {
        let (revision, changed) = (revision_text(written.revision.as_ref()), i32::from(written.changed));
        // SAFETY: not NULL, and then it can be written.
        unsafe { place.write(Written { revision, changed, reserved: 0 }) };
    }
}
