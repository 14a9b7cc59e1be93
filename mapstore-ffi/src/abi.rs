//! The one place of the ABI version: the library reports it, the header
//! defines it, and the soname is made of it (build.rs includes this file).

/// The version of this ABI: programs and libraries with the same number work
/// together. 0 until the first release: rebuild the program with the library.
pub const MAPSTORE_ABI_VERSION: u32 = 0;
