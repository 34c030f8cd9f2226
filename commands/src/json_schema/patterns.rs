//! Bounds of the patterns of a schema before they are compiled: number, length and compiled size.
//!
//! The regex engine limits each pattern separately; a schema with a thousand large patterns would take a gigabyte and
//! half a minute. So all patterns of a schema are limited together. The size is measured, not estimated: each automaton
//! is built within the remaining limit.

use std::collections::BTreeMap;

use regex_automata::nfa::thompson;

use super::bounds::refused;
use crate::error::Violation;

/// Maximum number of patterns in a schema.
const MOST: usize = 50;
/// Maximum total length of the patterns, in bytes (8 KiB).
const MOST_TEXT: usize = 8 << 10;
/// Maximum total number of Unicode classes (`\p{...}`): each has hundreds of ranges.
const MOST_CLASSES: usize = 50;
/// Maximum total memory of the compiled patterns, in bytes (4 MiB).
const MOST_COMPILED: usize = 4 << 20;
/// Number of automata per pattern: forward and reverse, each in two representations.
const COPIES: usize = 4;
/// Size limit of one automaton for the engine, which builds it again, in bytes.
pub(super) const MOST_OF_ONE: usize = MOST_COMPILED / COPIES;
/// Memory limit of a lazily built automaton, in bytes per pattern.
pub(super) const LAZY_BYTES: usize = 64 << 10;
/// Memory limit of a backtracking search, in bytes per pattern.
const VISITED_BYTES: usize = 256 << 10;
/// Maximum memory of the table of a one-pass automaton, in bytes.
const ONE_PASS_BYTES: usize = 1 << 20;

/// Patterns of a schema, each with the pointer to a schema that contains it.
#[derive(Debug, Default)]
pub(super) struct Patterns<'a> {
    known: BTreeMap<&'a str, String>,
    text: usize,
    classes: usize,
}

/// Cost of the patterns of a schema.
#[derive(Debug, Default)]
pub(super) struct Cost {
    /// Memory of all patterns, in bytes, including the memory of searches.
    pub(super) bytes: usize,
    /// Number of automaton states per pattern: the maximum number of steps per byte of text.
    states: BTreeMap<String, u64>,
}

impl Cost {
    /// Returns the number of automaton states of a pattern.
    pub(super) fn states(&self, pattern: &str) -> u64 {
        self.states.get(pattern).copied().unwrap_or(0)
    }
}

impl<'a> Patterns<'a> {
    /// Adds a pattern of the schema at this pointer.
    pub(super) fn add(&mut self, pattern: &'a str, pointer: &str) -> Result<(), Violation> {
        if self.known.contains_key(pattern) {
            return Ok(());
        }
        let syntax = Syntax::new(pattern);
        self.text += pattern.len();
        self.classes += syntax.classes;
        if syntax.has_flags {
            return Err(refused(pointer, "has a pattern with flags, (?i) or alike"));
        }
        if self.known.len() >= MOST {
            return Err(refused("", "has more than 50 patterns"));
        }
        if self.text > MOST_TEXT {
            return Err(refused("", "has patterns of more than 8 KiB together"));
        }
        if self.classes > MOST_CLASSES {
            return Err(refused(
                "",
                "has patterns with more than 50 Unicode classes together",
            ));
        }
        self.known.insert(pattern, pointer.to_owned());
        Ok(())
    }

    /// Builds the automata one after the other, and returns their cost.
    pub(super) fn cost(self) -> Result<Cost, Violation> {
        let mut cost = Cost::default();
        let mut compiled = 0;
        for (pattern, pointer) in self.known {
            let nfa = automaton(pattern, (MOST_COMPILED - compiled) / COPIES);
            let nfa = nfa.map_err(|detail| refused(&pointer, detail))?;
            compiled += nfa.memory_usage() * COPIES + beside(&nfa);
            if compiled > MOST_COMPILED {
                return Err(refused(&pointer, TOO_LARGE));
            }
            cost.bytes += LAZY_BYTES + VISITED_BYTES;
            let states = nfa.states().len() as u64;
            cost.states.insert(pattern.to_owned(), states);
        }
        cost.bytes += compiled;
        Ok(cost)
    }
}

const TOO_LARGE: &str = "has a pattern with which all take more than 4 MiB, once compiled";

/// Builds the automaton of a pattern, of at most `most` bytes.
fn automaton(pattern: &str, most: usize) -> Result<thompson::NFA, &'static str> {
    let unfit = "has a pattern that cannot be evaluated";
    let translated = jsonschema_regex::to_rust_regex(pattern).map_err(|()| unfit)?;
    let within = thompson::Config::new().nfa_size_limit(Some(most));
    let built = thompson::Compiler::new()
        .configure(within)
        .build(&translated);
    built.map_err(|error| match error.size_limit() {
        Some(_) => TOO_LARGE,
        None => unfit,
    })
}

/// Returns the memory of the engine apart from the automata: the table of a one-pass automaton, which it builds for
/// capture groups and word boundaries, and the threads of a simulation, each with the slots of all groups.
fn beside(nfa: &thompson::NFA) -> usize {
    let states = nfa.states().len();
    let captures = nfa.group_info().explicit_slot_len() > 0;
    let words = nfa.look_set_any().contains_word_unicode();
    let row = (nfa.byte_classes().alphabet_len() + 1).next_power_of_two() * size_of::<u64>();
    let table = if captures || words {
        (states * row).min(ONE_PASS_BYTES)
    } else {
        0
    };
    let threads = 2 * states * (nfa.group_info().slot_len() + 2) * size_of::<usize>();
    table + threads
}

/// Properties of a pattern that are visible without parsing.
#[derive(Debug, Default)]
struct Syntax {
    /// Number of Unicode classes.
    classes: usize,
    /// Whether a group sets flags. ECMA-262 has no such groups, and case folding of a class walks all of Unicode.
    has_flags: bool,
}

impl Syntax {
    fn new(pattern: &str) -> Self {
        let mut syntax = Self::default();
        let mut is_escaped = false;
        let mut is_in_class = false;
        for (at, sign) in pattern.char_indices() {
            if is_escaped {
                syntax.classes += usize::from(matches!(sign, 'p' | 'P'));
                is_escaped = false;
                continue;
            }
            match sign {
                '\\' => is_escaped = true,
                '[' => is_in_class = true,
                ']' => is_in_class = false,
                '(' if !is_in_class => syntax.has_flags |= begins_with_flags(pattern, at),
                _ => {}
            }
        }
        syntax
    }
}

/// Checks whether the group that begins at `at` sets flags.
fn begins_with_flags(pattern: &str, at: usize) -> bool {
    let group = pattern.get(at..).and_then(|rest| rest.strip_prefix("(?"));
    group.is_some_and(|group| !group.starts_with([':', '<', 'P', '=', '!']))
}

#[cfg(test)]
mod tests;
