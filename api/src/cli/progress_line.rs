//! Progress of long commands, shown on a terminal only.

use std::io::{IsTerminal as _, Write as _};

/// Status line on standard error, rewritten in place; silent if standard error is not a terminal.
#[derive(Debug)]
pub(super) struct ProgressLine {
    shown: bool,
    of: Option<u64>,
}

impl ProgressLine {
    /// Creates the line; `events` is the total, if known.
    pub(super) fn new(events: Option<u64>) -> Self {
        Self {
            shown: std::io::stderr().is_terminal(),
            of: events,
        }
    }

    /// Shows the number of processed events.
    pub(super) fn at(&self, events: u64) {
        self.note("", events);
    }

    /// Shows the number of processed events, and the phase `what`.
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

/// Ends the line, so that further output starts on a new one.
impl Drop for ProgressLine {
    fn drop(&mut self) {
        if self.shown {
            let _ = writeln!(std::io::stderr());
        }
    }
}
