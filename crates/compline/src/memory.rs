//! What the allocator keeps of what was freed.
//!
//! glibc keeps freed memory in an arena per thread, for the next time: left alone, a night of a million rows holds twice the
//! memory that it uses. One arena, so that what one thread let go another takes (460 MB in place of 520 with two, and the same CPU time),
//! and handing back what is free between the stages, cost next to nothing; handing back each block at once makes the trends take half
//! as long again, and handing back after each of many small days a sixth of their time.
//!
//! Another allocator would need none of this. jemalloc 5.3.0 with `narenas:1,dirty_decay_ms:200` took 480 MB and 64 s of CPU time for
//! two days of 600,000 packs, where this takes 583 MB and 67 s; but 5.3.1, which `tikv-jemallocator` 0.7.1 has, ended with a
//! segmentation fault in 19 of 150 starts with one arena, and in 1 with two. As it comes it takes half as much memory again for
//! 100,000 packs, and mimalloc more than that.
#![cfg_attr(all(target_os = "linux", target_env = "gnu"), expect(unsafe_code, reason = "calls to C"))]

/// Sets what is kept: one arena. Where many small days are computed at once, whose threads would wait for that one, two, each of which
/// keeps what the next day takes again: `verify` then takes a sixth less time. With four, and all that was freed kept, it took a tenth
/// less than that, and more memory than a night. Called before there is a second thread.
pub(crate) fn bound(is_many_days: bool) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt sets numbers, and there is no second thread yet.
    unsafe {
        if is_many_days {
            libc::mallopt(libc::M_ARENA_MAX, 2);
            libc::mallopt(libc::M_TRIM_THRESHOLD, 8 << 20);
            libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 20);
            // No lists of small blocks that are free (fast bins): each block of 64 KiB that is freed, as Parquet's reader has one for each
            // column, would clear them.
            libc::mallopt(libc::M_MXFAST, 0);
        } else {
            libc::mallopt(libc::M_ARENA_MAX, 1);
        }
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let _ = is_many_days;
}

/// Hands back what is free. Called where much has just been freed.
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim takes the allocator's own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}
