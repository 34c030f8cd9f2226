//! Detects unknown `ROENTGEN_` environment variables: a mistyped name would silently leave a setting unset.

use std::ffi::OsStr;

use clap::{Args as _, Command};

use super::Options;
use crate::nearest;

const PREFIX: &str = "ROENTGEN_";
/// Prefixes of variables for the project's own tools.
const OF_TOOLS: [&str; 2] = ["ROENTGEN_TEST_", "ROENTGEN_BENCH_"];

/// Returns an error for each unknown variable, with a suggestion.
pub(super) fn unknown<'a>(names: impl Iterator<Item = &'a OsStr>) -> Vec<String> {
    let known = known();
    let names = names.filter_map(OsStr::to_str);
    let own = names.filter(|name| {
        name.starts_with(PREFIX) && !OF_TOOLS.iter().any(|tools| name.starts_with(tools))
    });
    let unknown = own.filter(|name| !known.iter().any(|flag| flag == name));
    unknown
        .map(|name| {
            format!(
                "unknown environment variable {name}; {}",
                nearest::hint(name, &known)
            )
        })
        .collect()
}

/// Returns the environment variables of all flags.
fn known() -> Vec<String> {
    let command = Options::augment_args(Command::new("roentgen"));
    let flags = command.get_arguments();
    let names = flags.filter_map(|flag| flag.get_env()?.to_str());
    names.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(names: &[&str]) -> Vec<String> {
        unknown(names.iter().map(OsStr::new))
    }

    #[test]
    fn a_mistyped_name_is_told_with_the_one_that_was_meant() {
        for known in known() {
            assert_eq!(complaints(&[&known]), [""; 0]);
            let mut typo = known.clone();
            typo.truncate(typo.len() - 1);
            typo.push_str("QX");
            let said = complaints(&[&typo]);
            let meant = format!("unknown environment variable {typo}; did you mean ");
            assert!(said.len() == 1 && said[0].starts_with(&meant), "{said:?}");
        }
        let said = complaints(&["ROENTGEN_JWT_SECERT"]);
        assert!(
            said[0].ends_with("did you mean ROENTGEN_JWT_SECRET?"),
            "{said:?}"
        );
    }

    #[test]
    fn what_is_not_the_programs_own_is_passed_over() {
        let others = [
            "PATH",
            "RUST_LOG",
            "ROENTGEN_TEST_POSTGRES",
            "ROENTGEN_BENCH_POSTGRES",
        ];
        assert_eq!(complaints(&others), [""; 0]);
    }
}
