//! What the allocator keeps of what was freed.
//!
//! glibc keeps freed memory in an arena per thread, for the next time: left alone, a night of a million rows holds twice the
//! memory that it uses. Fewer arenas, and handing back what is free between the stages, cost next to nothing; handing back
//! each block at once makes the trends take half as long again.
#![cfg_attr(all(target_os = "linux", target_env = "gnu"), expect(unsafe_code, reason = "calls to C"))]

/// Sets how many arenas there are. Called before there is a second thread.
pub(crate) fn bound() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt sets a number, and there is no second thread yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}

/// Hands back what is free. Called where much has just been freed.
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim takes the allocator's own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}
