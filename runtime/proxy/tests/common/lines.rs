//! What a proxy logged.

use super::{options, wait_for};
use malha_proxy::{AccessLog, Options};
use std::sync::{Arc, Mutex};

/// Lines of an access log.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    /// The log that writes them.
    pub fn log(&self) -> AccessLog {
        let lines = Arc::clone(&self.0);
        AccessLog::to_function(move |line| lines.lock().unwrap().push(line.to_owned()))
    }

    /// Options of a proxy with that log.
    pub fn options(&self) -> Options {
        Options { access_log: Some(self.log()), ..options() }
    }

    /// Forgets those that there are.
    pub fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    /// Those that there are now.
    pub fn now(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// All lines, once there are so many.
    pub fn wait(&self, count: usize) -> Vec<String> {
        wait_for("lines of the access log", || self.0.lock().unwrap().len() >= count);
        self.now()
    }
}
