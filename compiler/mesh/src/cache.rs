//! What an earlier run lowered, by content: so that an edit lowers anew only what it reaches.

use crate::lower::RouteList;
use crate::program::VirtualHost;
use foldhash::fast::{FixedState, FoldHasher};
use hashbrown::HashMap;
use std::cell::RefCell;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

/// A hash of all that a part is made of. Two of 64 bits each, so that chance does not make two parts one.
pub(crate) type Key = (u64, u64);

/// The key of what `hash` feeds to a hasher.
pub(crate) fn key_of(hash: impl FnOnce(&mut Both<'_>)) -> Key {
    let seeds = [0x6d61_6c68, 0x6d65_7368].map(FixedState::with_seed);
    let [one, other] = &seeds;
    let mut both = Both(one.build_hasher(), other.build_hasher());
    hash(&mut both);
    (both.0.finish(), both.1.finish())
}

/// Two hashers fed alike.
pub(crate) struct Both<'a>(FoldHasher<'a>, FoldHasher<'a>);

impl Hasher for Both<'_> {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
        self.1.write(bytes);
    }

    fn write_u8(&mut self, number: u8) {
        self.0.write_u8(number);
        self.1.write_u8(number);
    }

    fn write_u32(&mut self, number: u32) {
        self.0.write_u32(number);
        self.1.write_u32(number);
    }

    fn write_u64(&mut self, number: u64) {
        self.0.write_u64(number);
        self.1.write_u64(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.0.write_usize(number);
        self.1.write_usize(number);
    }

    fn finish(&self) -> u64 {
        self.0.finish() ^ self.1.finish()
    }
}

/// What was lowered before, and how much of it the last run could use.
#[derive(Debug, Default)]
pub struct Cache {
    parts: RefCell<Parts>,
}

#[derive(Debug, Default)]
struct Parts {
    lists: HashMap<Key, Kept<RouteList>>,
    hosts: HashMap<Key, Kept<VirtualHost>>,
    run: u32,
    lowered: usize,
    reused: usize,
}

#[derive(Debug)]
struct Kept<T> {
    part: Arc<T>,
    /// The last run that used it.
    run: u32,
}

impl Cache {
    /// How many virtual hosts the last run lowered anew.
    pub fn lowered(&self) -> usize {
        self.parts.borrow().lowered
    }

    /// How many virtual hosts the last run took over from an earlier one, or from another proxy.
    pub fn reused(&self) -> usize {
        self.parts.borrow().reused
    }

    pub(crate) fn begin(&mut self) {
        let parts = self.parts.get_mut();
        parts.run = parts.run.wrapping_add(1);
        parts.lowered = 0;
        parts.reused = 0;
    }

    /// Forgets what neither this run nor the one before it has used.
    pub(crate) fn end(&mut self) {
        let parts = self.parts.get_mut();
        let run = parts.run;
        let is_recent = |used: u32| run.wrapping_sub(used) < 2;
        parts.lists.retain(|_, kept| is_recent(kept.run));
        parts.hosts.retain(|_, kept| is_recent(kept.run));
    }

    pub(crate) fn list(&self, key: Key) -> Option<Arc<RouteList>> {
        let parts = &mut *self.parts.borrow_mut();
        let kept = parts.lists.get_mut(&key)?;
        kept.run = parts.run;
        Some(Arc::clone(&kept.part))
    }

    pub(crate) fn keep_list(&self, key: Key, part: &Arc<RouteList>) {
        let mut parts = self.parts.borrow_mut();
        let run = parts.run;
        parts.lists.insert(key, Kept { part: Arc::clone(part), run });
    }

    pub(crate) fn host(&self, key: Key) -> Option<Arc<VirtualHost>> {
        let parts = &mut *self.parts.borrow_mut();
        let kept = parts.hosts.get_mut(&key)?;
        kept.run = parts.run;
        parts.reused += 1;
        Some(Arc::clone(&kept.part))
    }

    pub(crate) fn keep_host(&self, key: Key, part: &Arc<VirtualHost>) {
        let mut parts = self.parts.borrow_mut();
        parts.lowered += 1;
        let run = parts.run;
        parts.hosts.insert(key, Kept { part: Arc::clone(part), run });
    }
}
