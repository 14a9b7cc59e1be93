//! A library that somebody else wrote in Rust: it has a standard library of its
//! own, and unwinds.

#[unsafe(no_mangle)]
pub extern "C" fn other_answer() -> i32 {
    let unwound = std::panic::catch_unwind(|| std::panic::resume_unwind(Box::new(42)));
    *unwound.unwrap_err().downcast::<i32>().unwrap()
}
