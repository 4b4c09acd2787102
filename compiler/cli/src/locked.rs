//! What threads share.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a mutex holds, also where a thread panicked with it: what is there is whole whenever it is let go of.
pub(crate) fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
