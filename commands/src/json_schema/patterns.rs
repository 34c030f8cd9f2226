//! Patterns, before the engine compiles them: how many, how long, and what they take once they are compiled.
//!
//! The engine limits each pattern by itself; a schema of a thousand large ones would take a gigabyte and half a minute.
//! So they are limited together. What one takes is not guessed: its automaton is built, within what is left.

use std::collections::BTreeMap;

use regex_automata::nfa::thompson;

use super::bounds::refused;
use crate::error::Violation;

/// How many patterns a schema may have.
const MOST: usize = 50;
/// How long they may be together, in bytes.
const MOST_TEXT: usize = 8 << 10;
/// How many Unicode classes (`\p{...}`) they may have together: each is hundreds of ranges.
const MOST_CLASSES: usize = 50;
/// What they may take together once they are compiled, in bytes.
const MOST_COMPILED: usize = 4 << 20;
/// An automaton and its reverse, and a copy of either in another form.
const COPIES: usize = 4;
/// What one automaton may take: the limit for the engine, which builds it again.
pub(super) const MOST_OF_ONE: usize = MOST_COMPILED / COPIES;
/// What the engine may keep of a lazily built automaton, in bytes a pattern.
pub(super) const LAZY_BYTES: usize = 64 << 10;
/// What the engine may keep of a backtracking search, in bytes a pattern.
const VISITED_BYTES: usize = 256 << 10;
/// The most that the engine takes for the table of an automaton without choices.
const ONE_PASS_BYTES: usize = 1 << 20;

/// Patterns of a schema, each with a pointer to a schema that has it.
#[derive(Debug, Default)]
pub(super) struct Patterns<'a> {
    known: BTreeMap<&'a str, String>,
    text: usize,
    classes: usize,
}

/// What patterns cost.
#[derive(Debug, Default)]
pub(super) struct Cost {
    /// What the engine takes for all of them, in bytes, the memory of its searches included.
    pub(super) bytes: usize,
    /// The states of each one's automaton: the most steps that it takes for a byte of text.
    states: BTreeMap<String, u64>,
}

impl Cost {
    /// The states of a pattern's automaton.
    pub(super) fn states(&self, pattern: &str) -> u64 {
        self.states.get(pattern).copied().unwrap_or(0)
    }
}

impl<'a> Patterns<'a> {
    /// Takes up a pattern of the schema at this pointer.
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

    /// Builds their automata, one after the other.
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

/// What the engine makes of a pattern, if that takes no more than so many bytes.
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

/// What the engine takes beside the automata: the table of an automaton without choices, which it builds where groups
/// capture or words end, and the threads of a simulation, each with the places of all groups.
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

/// What can be told of a pattern without parsing it.
#[derive(Debug, Default)]
struct Syntax {
    /// How many Unicode classes it has.
    classes: usize,
    /// Whether a group sets flags. ECMA-262 has none; and case folding of a class is a walk over all of Unicode.
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

/// Whether the group that begins here sets flags.
fn begins_with_flags(pattern: &str, at: usize) -> bool {
    let group = pattern.get(at..).and_then(|rest| rest.strip_prefix("(?"));
    group.is_some_and(|group| !group.starts_with([':', '<', 'P', '=', '!']))
}

#[cfg(test)]
mod tests;
