//! Suggestions for unknown names sent by a client. The client's text is never repeated.

/// Maximum length in bytes of a compared name. Known names are shorter, and the cost is the product of both lengths.
const COMPARED: usize = 64;

/// Returns what to do about an unknown name: suggests the nearest known name, or lists all if none is near.
pub(crate) fn hint<N: AsRef<str>>(sent: &str, known: &[N]) -> String {
    if let Some(nearest) = nearest(sent, known) {
        return format!("did you mean {nearest}?");
    }
    let known: Vec<&str> = known.iter().map(AsRef::as_ref).collect();
    match known.as_slice() {
        [] => "none are accepted here".to_owned(),
        names => format!("known are {}", names.join(", ")),
    }
}

/// Returns the known name with the fewest edits, if these are few for its length.
fn nearest<'a, N: AsRef<str>>(sent: &str, known: &'a [N]) -> Option<&'a str> {
    if sent.len() > COMPARED {
        return None;
    }
    let sent = sent.to_ascii_lowercase();
    let near = known.iter().filter_map(|name| {
        let name = name.as_ref();
        let changes = strsim::osa_distance(&sent, &name.to_ascii_lowercase());
        let most = (name.len() / 3).max(1);
        (changes <= most).then_some((changes, name))
    });
    near.min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 4] = ["status", "patient_id", "practitioner_id", "code"];

    #[test]
    fn a_typo_finds_the_name_that_was_meant() {
        for (sent, meant) in [
            ("statsu", "status"),
            ("STATUS", "status"),
            ("state", "status"),
            ("patient", "patient_id"),
            ("practitioner", "practitioner_id"),
            ("kode", "code"),
        ] {
            let expected = format!("did you mean {meant}?");
            assert_eq!(hint(sent, &KNOWN), expected, "{sent}");
        }
    }

    #[test]
    fn a_name_that_is_far_from_all_is_told_what_there_is_and_is_not_repeated() {
        let long = "status".repeat(1000);
        for sent in ["", "Jane Roe", "wombat", &long] {
            let said = hint(sent, &KNOWN);
            assert_eq!(said, "known are status, patient_id, practitioner_id, code");
        }
        let none: [&str; 0] = [];
        assert_eq!(hint("x", &none), "none are accepted here");
    }
}
