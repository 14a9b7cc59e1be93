//! How the shared library is linked: its soname, and that it stays.

#[path = "src/abi.rs"]
mod abi;

fn main() {
    println!("cargo:rerun-if-changed=src/abi.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libmapstore.so.{}", abi::MAPSTORE_ABI_VERSION);
    // The runtime's threads outlive a dlclose: their code must stay mapped.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
