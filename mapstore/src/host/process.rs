//! Which process this is: tells a forked child from its parent.
//!
//! A page that the kernel wipes in the child (`MADV_WIPEONFORK`) catches every
//! fork, raw `clone` included, which `pthread_atfork` does not, and costs one
//! load to look at. Nothing here locks: a child may have been forked while
//! another thread was anywhere in this file.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

static PAGE: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());
static LAST: AtomicU64 = AtomicU64::new(0);
/// Where the page isn't wiped (before Linux 4.14): the process the number was given to.
static PID: AtomicU64 = AtomicU64::new(0);

/// A number for this process that no ancestor it was forked from has.
pub(crate) fn generation() -> u64 {
    match page() {
        Some(page) => match page.load(Ordering::Acquire) {
            0 => name_process(page),
            generation => generation,
        },
        None => by_pid(),
    }
}

/// The counter lies in ordinary memory, so a child goes on counting where its
/// parent was and never takes a number that an inherited store holds.
fn name_process(page: &AtomicU64) -> u64 {
    let fresh = LAST.fetch_add(1, Ordering::AcqRel) + 1;
    match page.compare_exchange(0, fresh, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => fresh,
        Err(other_thread) => other_thread,
    }
}

fn by_pid() -> u64 {
    let pid = u64::from(std::process::id());
    if PID.swap(pid, Ordering::AcqRel) != pid {
        LAST.fetch_add(1, Ordering::AcqRel);
    }
    LAST.load(Ordering::Acquire)
}

/// Marks a failed `mmap` or `madvise`, so that it is tried once only.
fn unusable() -> *mut AtomicU64 {
    ptr::without_provenance_mut(usize::MAX)
}

fn page() -> Option<&'static AtomicU64> {
    let mut page = PAGE.load(Ordering::Acquire);
    if page.is_null() {
        let fresh = map_page();
        page = match PAGE.compare_exchange(ptr::null_mut(), fresh, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => fresh,
            Err(other_thread) => {
                unmap_page(fresh);
                other_thread
            }
        };
    }
    if page == unusable() {
        return None;
    }
    // SAFETY: the page is mapped, zeroed by the kernel, aligned and never unmapped.
    Some(unsafe { &*page })
}

fn map_page() -> *mut AtomicU64 {
    const SIZE: usize = 4096;
    // SAFETY: a new private anonymous mapping touches nothing that exists.
    unsafe {
        let page = libc::mmap(
            ptr::null_mut(),
            SIZE,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        if page == libc::MAP_FAILED {
            return unusable();
        }
        if libc::madvise(page, SIZE, libc::MADV_WIPEONFORK) != 0 {
            libc::munmap(page, SIZE);
            return unusable();
        }
        page.cast()
    }
}

fn unmap_page(page: *mut AtomicU64) {
    if page != unusable() {
        // SAFETY: mapped by `map_page`, never published.
        unsafe { libc::munmap(page.cast(), 4096) };
    }
}

/// A value of which each process has its own: a child must not wait for a lock
/// that its parent held at the fork, nor use what belongs to the parent's threads.
pub(crate) struct PerProcess<T>(AtomicPtr<Own<T>>);

struct Own<T> {
    generation: u64,
    value: T,
}

impl<T: Default + Sync> PerProcess<T> {
    pub const fn new() -> Self {
        PerProcess(AtomicPtr::new(ptr::null_mut()))
    }

    /// This process' value, made by the first who asks for it. The parent's is
    /// never freed in a child: its threads may have been anywhere in it.
    pub fn get(&self) -> &T {
        let generation = generation();
        let seen = self.0.load(Ordering::Acquire);
        // SAFETY: published below, freed by `drop` only.
        if let Some(own) = unsafe { seen.as_ref() }
            && own.generation == generation
        {
            return &own.value;
        }
        let fresh = Box::into_raw(Box::new(Own { generation, value: T::default() }));
        match self.0.compare_exchange(seen, fresh, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: published just now, freed by `drop` only.
            Ok(_) => unsafe { &(*fresh).value },
            Err(_) => {
                // SAFETY: never published.
                drop(unsafe { Box::from_raw(fresh) });
                self.get()
            }
        }
    }
}

impl<T: Default + Sync> Default for PerProcess<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let last = *self.0.get_mut();
        // SAFETY: published by `get`, and nobody has a reference to it any more.
        if unsafe { last.as_ref() }.is_some_and(|own| own.generation == generation()) {
            // SAFETY: from `Box::into_raw`; this is its only end.
            drop(unsafe { Box::from_raw(last) });
        }
    }
}

/// Random bytes from the kernel: what a forked child draws is its own.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // SAFETY: the buffer is N bytes long. Up to 256 bytes the call is never
    // interrupted or cut (getrandom(2)); without it the bytes stay zero, which
    // costs uniqueness of a stamp, not correctness of a write.
    unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), N, 0) };
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raw_fork_has_another_generation() {
        let parent = generation();
        assert_eq!(parent, generation());
        // SAFETY: the child only does arithmetic and exits.
        unsafe {
            let child = libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0);
            if child == 0 {
                let told_apart = generation() != parent && generation() == generation();
                libc::_exit(if told_apart { 0 } else { 1 });
            }
            let mut status = 0;
            libc::waitpid(child as i32, &mut status, 0);
            assert_eq!(status, 0);
        }
    }
}
