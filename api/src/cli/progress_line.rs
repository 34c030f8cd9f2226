//! How far a long command is, on a terminal only.

use std::io::{IsTerminal as _, Write as _};

/// One line of standard error that is written over and over; nothing where that is no terminal.
#[derive(Debug)]
pub(super) struct ProgressLine {
    shown: bool,
    of: Option<u64>,
}

impl ProgressLine {
    /// Over so many events, where that is known.
    pub(super) fn new(events: Option<u64>) -> Self {
        Self {
            shown: std::io::stderr().is_terminal(),
            of: events,
        }
    }

    /// So many events are done.
    pub(super) fn at(&self, events: u64) {
        self.note("", events);
    }

    /// So many events are done of what is going on.
    pub(super) fn note(&self, what: &str, events: u64) {
        if !self.shown {
            return;
        }
        let mut terminal = std::io::stderr();
        let what = match what {
            "" => String::new(),
            what => format!("{what}, "),
        };
        let _ = match self.of {
            Some(all) => {
                let percent = events.saturating_mul(100) / all.max(1);
                write!(
                    terminal,
                    "\r{what}{events} of {all} events ({percent} %)\x1b[K"
                )
            }
            None => write!(terminal, "\r{what}{events} events\x1b[K"),
        };
    }
}

/// What is written next begins a line of its own.
impl Drop for ProgressLine {
    fn drop(&mut self) {
        if self.shown {
            let _ = writeln!(std::io::stderr());
        }
    }
}
