//! A guard around work on hostile input (chat templates): a thread of its own with a deep stack, a
//! memory budget and a deadline.
//!
//! Fuel bounds how many steps a template takes, but not what one step allocates (`x ~ x` doubles),
//! and an allocation that fails aborts a Rust program. So the global allocator counts what the
//! guarded thread holds. When the budget or the deadline is passed the allocation does not return:
//! the thread sleeps for ever, holding at most its budget, and the waiting caller is told. An
//! allocator must neither unwind nor fail here, but it may wait. Callers therefore give up on a
//! template that was stopped once, so each can cost at most one thread per caller.
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// How deep a template may nest its values: dropping them recurses once per level, and fuel bounds
/// the levels. Address space only; pages are taken as they are touched.
const STACK_BYTES: usize = 512 << 20;
/// The clock is read once per this many allocations.
const CLOCK_EVERY: u32 = 64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stopped {
    Memory,
    Time,
    /// The work panicked, or no thread could be started.
    Broken,
}

struct Meter {
    held: Cell<usize>,
    budget: usize,
    deadline: Instant,
    until_clock: Cell<u32>,
    stop: *const dyn Fn(Stopped),
}

thread_local! {
    // const and without a destructor: the allocator may read it at any time
    static METER: Cell<*const Meter> = const { Cell::new(ptr::null()) };
}

impl Meter {
    fn take(&self, bytes: usize) {
        let held = self.held.get().saturating_add(bytes);
        if held > self.budget {
            self.sleep(Stopped::Memory);
        }
        self.held.set(held);
        if self.until_clock.get() > 0 {
            self.until_clock.set(self.until_clock.get() - 1);
        } else {
            self.until_clock.set(CLOCK_EVERY);
            if Instant::now() > self.deadline {
                self.sleep(Stopped::Time);
            }
        }
    }

    fn give(&self, bytes: usize) {
        // memory from before the guard may be freed inside it
        self.held.set(self.held.get().saturating_sub(bytes));
    }

    fn sleep(&self, why: Stopped) -> ! {
        METER.with(|m| m.set(ptr::null())); // telling may allocate
                                            // SAFETY: the closure lives in the frame of run(), on this very thread
        unsafe { (*self.stop)(why) };
        loop {
            std::thread::park();
        }
    }
}

fn meter() -> Option<&'static Meter> {
    // SAFETY: set only while the meter is alive, in run()
    METER.with(|m| unsafe { m.get().as_ref() })
}

pub struct Counting;

// SAFETY: every call goes to the system allocator with its arguments unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if let Some(m) = meter() {
            m.take(layout.size());
        }
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if let Some(m) = meter() {
            m.take(layout.size());
        }
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        if let Some(m) = meter() {
            m.give(layout.size());
        }
        unsafe { System.dealloc(p, layout) }
    }
    unsafe fn realloc(&self, p: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        if let Some(m) = meter() {
            // both blocks may exist for a moment
            m.take(bytes);
            m.give(layout.size());
        }
        unsafe { System.realloc(p, layout, bytes) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How the guarded thread stands. The result itself comes back by the join.
enum End {
    Running,
    Over,
    Stopped(Stopped),
}

type Slot = Arc<(Mutex<End>, Condvar)>;

fn put(slot: &Slot, end: End) {
    let mut place = slot.0.lock().unwrap_or_else(|e| e.into_inner());
    if matches!(*place, End::Running) {
        *place = end;
    }
    slot.1.notify_one();
}

/// Waits for the end, until `until` at the latest; nobody waits any more after that.
fn wait(slot: &Slot, until: Duration) -> End {
    let place = slot.0.lock().unwrap_or_else(|e| e.into_inner());
    let running = |e: &mut End| matches!(e, End::Running);
    let (mut place, _) = slot
        .1
        .wait_timeout_while(place, until, running)
        .unwrap_or_else(|e| e.into_inner());
    std::mem::replace(&mut *place, End::Stopped(Stopped::Time))
}

/// Runs `work` on a thread of its own within `budget` bytes and `limit` of time.
pub fn run<T, F>(budget: usize, limit: Duration, work: F) -> Result<T, Stopped>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let slot: Slot = Arc::new((Mutex::new(End::Running), Condvar::new()));
    let theirs = slot.clone();
    let deadline = Instant::now() + limit;
    let body = move || {
        let stop = |why| put(&theirs, End::Stopped(why));
        let stop_ref: &dyn Fn(Stopped) = &stop;
        let meter = Meter {
            held: Cell::new(0),
            budget,
            deadline,
            until_clock: Cell::new(CLOCK_EVERY),
            // SAFETY: only the lifetime changes; `stop` outlives every use, see Meter::sleep
            stop: unsafe {
                std::mem::transmute::<&dyn Fn(Stopped), &'static dyn Fn(Stopped)>(stop_ref)
            },
        };
        METER.with(|m| m.set(&meter));
        let result = catch_unwind(AssertUnwindSafe(work));
        METER.with(|m| m.set(ptr::null()));
        put(&theirs, End::Over);
        result
    };
    let thread = std::thread::Builder::new()
        .name("realm-template".into())
        .stack_size(STACK_BYTES);
    let Ok(handle) = thread.spawn(body) else {
        return Err(Stopped::Broken);
    };
    // a little longer than the deadline: a thread that allocates notices by itself
    match wait(&slot, limit + Duration::from_millis(500)) {
        // Joined only when nothing is left to do but to return: the stack is gone before the next
        // one is made, and a thread sanitizer sees the hand-over, as it does not see our lock.
        End::Over => match handle.join() {
            Ok(Ok(result)) => Ok(result),
            _ => Err(Stopped::Broken),
        },
        // this thread never ends, or nobody knows when
        End::Stopped(why) => Err(why),
        End::Running => Err(Stopped::Time),
    }
}
