//! A worker's end of the access log: lines are gathered for a moment, so that whoever writes them wakes for many at once.

use crate::{
    access_log::{AccessLog, Entry},
    line_format::LineFormat,
    time::Stamp,
};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};
use tokio::sync::Notify;

/// How long a line waits for others.
const MOMENT: Duration = Duration::from_millis(50);

/// So many bytes are handed on at once.
const FULL: usize = 128 * 1024;

/// More than usual lines have.
const LINE: usize = 1024;

/// Lines of one worker.
pub(crate) struct WorkerLog {
    log: AccessLog,
    lines: RefCell<Vec<u8>>,
    stamp: RefCell<Stamp>,
    count: Cell<u64>,
    /// There are some.
    begun: Notify,
}

impl WorkerLog {
    pub(crate) fn new(log: AccessLog) -> Rc<Self> {
        Rc::new(WorkerLog {
            log,
            lines: RefCell::default(),
            stamp: RefCell::default(),
            count: Cell::default(),
            begun: Notify::new(),
        })
    }

    /// The format that a mesh says, if one does.
    pub(crate) fn lines(&self) -> Option<&LineFormat> {
        self.log.lines()
    }

    /// One more line.
    pub(crate) fn write(&self, entry: &Entry) {
        let (Ok(mut lines), Ok(mut stamp)) = (self.lines.try_borrow_mut(), self.stamp.try_borrow_mut()) else { return };
        if let Some(function) = self.log.function() {
            lines.clear();
            self.log.format(entry, &mut stamp, &mut lines);
            return function(&String::from_utf8_lossy(&lines));
        }
        if lines.is_empty() {
            self.begun.notify_one();
        }
        self.log.format(entry, &mut stamp, &mut lines);
        lines.push(b'\n');
        self.count.set(self.count.get() + 1);
        let is_full = lines.len() >= FULL;
        drop(lines);
        if is_full {
            self.hand_on();
        }
    }

    fn hand_on(&self) {
        if self.log.function().is_some() {
            return;
        }
        let mut lines = self.lines.borrow_mut();
        // The next ones will be about as many, up to a line.
        let room = Vec::with_capacity(lines.len() + LINE);
        let lines = std::mem::replace(&mut *lines, room);
        let count = self.count.take();
        if !lines.is_empty() {
            self.log.hand_on(lines, count);
        }
    }

    /// Hands lines on when they have waited for their moment.
    pub(crate) async fn run(self: Rc<Self>) {
        loop {
            self.begun.notified().await;
            tokio::time::sleep(MOMENT).await;
            self.hand_on();
        }
    }
}

impl Drop for WorkerLog {
    fn drop(&mut self) {
        self.hand_on();
    }
}
