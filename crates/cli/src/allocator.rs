//! The allocator, told to keep the pages that it has.
//!
//! A step takes and returns hundreds of megabytes. The system's allocator gives them back to the kernel each time, mimalloc ten
//! milliseconds later; either way the next step pays for clearing them again.

use libmimalloc_sys::{mi_option_set, mi_option_t};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc's header, which its bindings leave out: milliseconds, -1 for never.
const PURGE_DELAY: mi_option_t = 15;

/// Memory that was freed stays with the process. To be called before there are threads.
pub(crate) fn keep_pages() {
    // SAFETY: sets a number in mimalloc's table of options, whose index it checks.
    unsafe { mi_option_set(PURGE_DELAY, -1) };
}
