//! How the system's allocator keeps what was freed.
//!
//! Spans become columns by tens of megabytes at a time, on one thread after the other. Left to itself, glibc learns from the
//! first of these to keep such pieces for later, in an arena for each thread, and a server then holds on to several times what
//! it needs (`bench/README.md`, "Memory").

/// From how many bytes on a piece is given back to the system once it is freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const GIVEN_BACK: i32 = 512 << 10;

/// How many arenas threads share.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const ARENAS: i32 = 3;

/// Sets the allocator up; before other threads are there.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the allocator has no other interface")]
pub(crate) fn set_up() {
    // What it does not know it leaves as it is.
    // SAFETY: `mallopt` takes any two numbers and changes the allocator's own parameters alone.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, GIVEN_BACK);
        libc::mallopt(libc::M_ARENA_MAX, ARENAS);
    }
}

/// Other allocators are left alone.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn set_up() {}
