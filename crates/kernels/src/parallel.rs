//! Jobs on the threads of the current Rayon pool, and scratch memory that threads keep.

use crate::bf16::Square;
use rayon::prelude::*;
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

/// Threads of the pool that the caller runs in.
pub(crate) fn threads() -> usize {
    rayon::current_num_threads()
}

/// Runs jobs `0..jobs`, in order on this thread if `serial`. What a job computes must not depend on who runs it.
pub(crate) fn for_each_job(jobs: usize, serial: bool, job: impl Fn(usize) + Sync + Send) {
    if serial || jobs <= 1 || threads() == 1 {
        (0..jobs).for_each(job);
    } else {
        watch();
        (0..jobs).into_par_iter().with_max_len(1).for_each(job);
    }
}

/// Numbers below which elementwise work stays on this thread.
const SMALL: usize = 1 << 14;

/// Runs `work` on each chunk of `size` numbers, with the chunk's index.
pub(crate) fn for_each_chunk(data: &mut [f32], size: usize, work: impl Fn(usize, &mut [f32]) + Sync + Send) {
    if data.len() <= size || data.len() < SMALL || threads() == 1 {
        data.chunks_mut(size).enumerate().for_each(|(i, chunk)| work(i, chunk));
    } else {
        watch();
        data.par_chunks_mut(size).enumerate().for_each(|(i, chunk)| work(i, chunk));
    }
}

/// Runs `work` on each chunk of `size` numbers together with the chunk of `part` things that belongs to it.
pub(crate) fn for_each_pair<T: Send>(
    data: &mut [f32],
    size: usize,
    things: &mut [T],
    part: usize,
    work: impl Fn(usize, &mut [f32], &mut [T]) + Sync + Send,
) {
    if data.len() <= size || data.len() < SMALL || threads() == 1 {
        data.chunks_mut(size).zip(things.chunks_mut(part)).enumerate().for_each(|(i, (a, b))| work(i, a, b));
    } else {
        watch();
        data.par_chunks_mut(size).zip(things.par_chunks_mut(part)).enumerate().for_each(|(i, (a, b))| work(i, a, b));
    }
}

/// The results of jobs `0..jobs` in order.
pub(crate) fn map_jobs<T: Send>(jobs: usize, serial: bool, job: impl Fn(usize) -> T + Sync + Send) -> Vec<T> {
    if serial || jobs <= 1 || threads() == 1 {
        (0..jobs).map(job).collect()
    } else {
        watch();
        (0..jobs).into_par_iter().with_max_len(1).map(job).collect()
    }
}

/// `len` numbers that hold anything, for a result that is about to be written in full: clearing fresh memory first would cost as much
/// as many a kernel.
pub(crate) fn unset(len: usize) -> Vec<f32> {
    let mut room: Vec<f32> = Vec::with_capacity(len);
    // SAFETY: the capacity is there, every pattern of bits is a number, and callers write each before anybody reads it; the tests run
    // under valgrind, which would see it otherwise.
    #[allow(clippy::uninit_vec, reason = "see above")]
    unsafe {
        room.set_len(len);
    }
    if cfg!(test) {
        room.fill(f32::NAN);
    }
    room
}

thread_local! {
    /// When this thread last asked the others to watch.
    static ASKED: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Whether this thread watches.
    static WATCHING: Cell<bool> = const { Cell::new(false) };
}

/// How long a thread watches without finding work, and how often it is asked to.
const WATCH: Duration = Duration::from_micros(2000);
const ASK: Duration = Duration::from_micros(500);
/// Threads above which nobody watches: they would be in each other's way.
const WATCHERS: usize = 8;

/// Keeps the other threads of the pool from falling asleep between the operations of a step, which often take less time than to wake one:
/// for a moment they look for work without pause.
fn watch() {
    let now = Instant::now();
    if threads() > WATCHERS || WATCHING.get() || ASKED.get().is_some_and(|asked| now - asked < ASK) {
        return;
    }
    ASKED.set(Some(now));
    let own = rayon::current_thread_index();
    rayon::spawn_broadcast(move |context| {
        if Some(context.index()) == own || WATCHING.replace(true) {
            return;
        }
        let mut found = Instant::now();
        while found.elapsed() < WATCH {
            match rayon::yield_now() {
                Some(rayon::Yield::Executed) => found = Instant::now(),
                _ => (0..64).for_each(|_| std::hint::spin_loop()),
            }
        }
        WATCHING.set(false);
    });
}

thread_local! {
    /// Buffers that are not in use.
    static SCRATCH: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Scratch above which a thread gives the memory back after use: 64 MiB.
const KEPT: usize = 1 << 24;

/// Lends `len` numbers of this thread's scratch memory (their values are anything).
///
/// Calls may be nested, in a job that this thread picked up while it waited too: each has its own buffer. Without this, the
/// allocator would map and unmap the pages of large buffers each time, at the cost of a fault a page.
pub(crate) fn scratch<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut room = SCRATCH.with_borrow_mut(Vec::pop).unwrap_or_default();
    if room.len() < len {
        room.resize(len, 0.0);
    }
    let result = work(&mut room[..len]);
    if room.len() <= KEPT {
        SCRATCH.with_borrow_mut(|kept| kept.push(room));
    }
    result
}

/// [`scratch`] for squares of the matrix unit.
pub(crate) fn scratch_squares<R>(len: usize, work: impl FnOnce(&mut [Square]) -> R) -> R {
    const WORDS: usize = size_of::<Square>() / size_of::<f32>();
    scratch((len + 1) * WORDS, |room| {
        // SAFETY: a square is an array of words, numbers are words too, and every pattern is valid for both.
        let (_, squares, _) = unsafe { room.align_to_mut::<Square>() };
        work(&mut squares[..len])
    })
}
