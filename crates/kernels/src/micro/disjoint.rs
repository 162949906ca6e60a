//! Writing from several threads into places of one slice that never overlap.

use std::marker::PhantomData;

/// A slice that threads share for writing; whoever writes promises that no two writes touch the same element.
#[derive(Clone, Copy)]
pub(crate) struct Disjoint<'a, T = f32> {
    start: *mut T,
    len: usize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: access goes through `slice` only, whose contract forbids overlapping use.
unsafe impl<T: Send> Send for Disjoint<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Disjoint<'_, T> {}

impl<'a, T> Disjoint<'a, T> {
    /// Takes the slice for the time of the writes.
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), borrow: PhantomData }
    }

    /// Where the slice begins, for bodies that write by pointers under the contract of [`Disjoint::slice`].
    pub(crate) fn start(&self) -> *mut T {
        self.start
    }

    /// Elements of the slice.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// A part of the slice that threads share in their turn.
    ///
    /// # Safety
    /// As [`Disjoint::slice`] for all that is written through the part.
    pub(crate) unsafe fn part(&self, start: usize, len: usize) -> Self {
        assert!(start + len <= self.len, "a part of {len} at {start} leaves a slice of {}", self.len);
        Self { start: self.start.wrapping_add(start), len, borrow: PhantomData }
    }

    /// A part of the slice.
    ///
    /// # Safety
    /// No other live part overlaps this one.
    #[inline]
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn slice(&self, start: usize, len: usize) -> &'a mut [T] {
        assert!(start + len <= self.len, "a write of {len} at {start} leaves a slice of {}", self.len);
        // SAFETY: inside the slice as asserted; not aliased by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}
