use super::*;

fn cost<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Cost, String> {
    let mut all = Patterns::default();
    for pattern in patterns {
        all.add(pattern, "/a").map_err(said)?;
    }
    all.cost().map_err(said)
}

fn said(refused: Violation) -> String {
    format!("{} {}", refused.pointer.into_inner(), refused.detail)
}

#[track_caller]
fn is_refused<'a>(patterns: impl IntoIterator<Item = &'a str>, pointer: &str, limit: &str) {
    let refused = cost(patterns).map(|cost| cost.bytes).unwrap_err();
    let as_told = refused.starts_with(&format!("/schema{pointer} ")) && refused.contains(limit);
    assert!(as_told, "{refused}");
}

#[test]
fn patterns_of_a_large_template_are_taken() {
    let codes: Vec<String> = (0..50)
        .map(|n| format!("^[A-Z]{{2,8}}-{n}[0-9]{{1,6}}$"))
        .collect();
    let cost = cost(codes.iter().map(String::as_str)).unwrap();
    assert!(codes.iter().all(|pattern| cost.states(pattern) > 5));
    for honest in [
        r"^\d{4}-\d{2}-\d{2}$",
        r"^(BI-RADS|LI-RADS|PI-RADS) [0-6][abc]?$",
        r"^[\p{L} .'-]{1,30}$",
        r"\bT[0-4]N[0-3]M[01]\b",
        "^(?:[0-9]+(?:\\.[0-9]+)?)(?<unit> ?(?:mm|cm))$",
        r"[(?i]\(?i",
    ] {
        assert!(cost_of(honest).is_ok(), "{honest}: {:?}", cost_of(honest));
    }
}

fn cost_of(pattern: &str) -> Result<usize, String> {
    cost([pattern]).map(|cost| cost.bytes)
}

#[test]
fn a_pattern_counts_once_however_many_schemas_have_it() {
    assert!(cost(["^a$"; 200]).is_ok());
}

#[test]
fn patterns_are_limited_in_number() {
    let many: Vec<String> = (0..51).map(|n| format!("a{n}")).collect();
    is_refused(many.iter().map(String::as_str), "", "50 patterns");
}

#[test]
fn patterns_are_limited_in_text() {
    let long: Vec<String> = (0..9)
        .map(|n| format!("{n}{}", "a".repeat(1_000)))
        .collect();
    is_refused(long.iter().map(String::as_str), "", "8 KiB");
}

#[test]
fn patterns_are_limited_in_what_they_take_together() {
    let half: Vec<String> = (0..10).map(|n| format!("{n}(a{{40}}){{50}}")).collect();
    assert!(cost_of(&half[0]).is_ok(), "one alone");
    is_refused(half.iter().map(String::as_str), "/a", "4 MiB");
}

#[test]
fn groups_count_as_often_as_they_are_repeated() {
    let groups = "(a)".repeat(200);
    let plain = "(?:a)".repeat(200);
    assert!(cost_of(&format!("(?:{plain}){{20}}")).is_ok());
    is_refused([format!("(?:{groups}){{20}}").as_str()], "/a", "4 MiB");
}

#[test]
fn unicode_classes_are_limited() {
    is_refused([r"\pL".repeat(51).as_str()], "", "50 Unicode classes");
    let escaped = r"\\pL".repeat(51);
    assert!(cost_of(&escaped).is_ok(), "a backslash, and a letter");
}

#[test]
fn flags_are_not_taken() {
    for flagged in ["(?i)a", "(?i:a)", "(?-u)a", "a(?s).", "(?x) a"] {
        is_refused([flagged], "/a", "flags");
    }
}

#[test]
fn what_the_engine_does_not_evaluate_is_refused() {
    for unfit in ["(", r"(?=a)b", r"(a)\1", "a{2,1}"] {
        is_refused([unfit], "/a", "cannot be evaluated");
    }
}

#[test]
fn refusal_tells_the_limit_and_not_the_pattern() {
    let refused = cost(["Jane(?i)Roe"]).map(|cost| cost.bytes).unwrap_err();
    assert!(!refused.contains("Jane"), "{refused}");
}
