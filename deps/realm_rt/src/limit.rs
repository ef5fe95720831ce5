//! Limits of one guest's store that remember what they refused: wasmtime's C limiter only makes
//! memory.grow answer -1, and a program that then gives up would look like any other trap.
use std::panic::catch_unwind;
use wasmtime_c_api::wasmtime::{Engine, ResourceLimiter, Result};
use wasmtime_c_api::{wasmtime_store_t, WasmtimeStore};

/// The caller's record; it outlives the store. Touched only while the store runs.
#[repr(C)]
pub struct RealmLimit {
    pub max_memory: u64, // bytes of the linear memory
    pub max_table: u64,  // elements of the table
    pub refused: u64,    // bytes wanted by the last growth over max_memory; 0: none
}

impl ResourceLimiter for RealmLimit {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        let fits = desired as u64 <= self.max_memory;
        if !fits {
            self.refused = desired as u64;
        }
        Ok(fits)
    }
    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        Ok(desired as u64 <= self.max_table)
    }
    fn instances(&self) -> usize {
        1
    }
    fn tables(&self) -> usize {
        1
    }
    fn memories(&self) -> usize {
        1
    }
}

#[repr(C)]
struct Store {
    store: WasmtimeStore, // the only field of wasmtime_store_t, which is repr(C) too
}
const _: () = assert!(size_of::<Store>() == size_of::<wasmtime_store_t>());

struct Shared(*mut RealmLimit);
// SAFETY: a store is used by one thread at a time, and the record only through its store.
unsafe impl Send for Shared {}
unsafe impl Sync for Shared {}

impl Shared {
    fn record(&self) -> *mut RealmLimit {
        self.0
    }
}

/// # Safety
/// `store` and `limit` are valid, and `limit` outlives the store.
#[no_mangle]
pub unsafe extern "C" fn realm_store_limit(store: *mut wasmtime_store_t, limit: *mut RealmLimit) {
    let store = unsafe { &mut (*store.cast::<Store>()).store };
    let shared = Shared(limit);
    store.limiter(move |_| unsafe { &mut *shared.record() });
}

/// What a thread needs before it runs guests. Without it the first guest sets it up, from the stack
/// of its fiber; then a failure here is one there.
#[no_mangle]
pub extern "C" fn realm_thread_init() {
    let _ = catch_unwind(Engine::tls_eager_initialize);
}
