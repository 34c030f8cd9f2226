//! Contributions of AI models.

use super::*;

fn score(number: f64) -> Score {
    Score::parse(number).unwrap()
}

fn part(model: Option<u128>, of: f64, flags: &[&str]) -> AiContribution {
    AiContribution {
        ai_model_id: model.map(|model| AiModelId::from(Uuid::from_u128(model))),
        imaging_ai_task_id: None,
        score: Some(score(of)),
        flags: flags.iter().map(|flag| text(flag)).collect(),
    }
}

fn contributed(part: AiContribution) -> Event {
    updated(|updated| updated.ai_contribution = Some(part))
}

fn with(parts: impl IntoIterator<Item = AiContribution>) -> Triage {
    parts.into_iter().fold(Triage::default(), Triage::with)
}

#[test]
fn the_score_is_the_highest_and_the_flags_are_the_union_in_stable_order() {
    let triage = with([
        part(Some(1), 0.92, &["ich", "mass_effect"]),
        part(Some(2), 0.15, &["fracture", "ich"]),
    ]);
    assert_eq!(triage.score(), Some(score(0.92)));
    assert_eq!(
        triage.flags(),
        [text("ich"), text("mass_effect"), text("fracture")]
    );
    assert_eq!(triage.contributions().len(), 2);
}

#[test]
fn a_later_output_of_the_same_model_takes_the_earlier_ones_place() {
    let triage = with([
        part(Some(1), 0.92, &["ich"]),
        part(Some(2), 0.15, &[]),
        part(Some(1), 0.1, &[]),
    ]);
    assert_eq!(triage.score(), Some(score(0.15)));
    assert!(triage.flags().is_empty());
    assert_eq!(triage.contributions()[0], part(Some(1), 0.1, &[]));
}

#[test]
fn a_contribution_is_taken_in_every_state_and_the_same_one_once() {
    let contribution = part(Some(1), 0.92, &["ich"]);
    for status in Status::ALL {
        an_item(*status)
            .when(Command::Contribute(contribution.clone()))
            .then([contributed(contribution.clone())]);
        let mut events = history(*status);
        events.push(contributed(contribution.clone()));
        given::<WorklistItem>(events)
            .when(Command::Contribute(contribution.clone()))
            .then([]);
    }
}

#[test]
fn an_item_takes_up_the_parts_of_so_many_models_and_what_each_says_later() {
    let full = (1..=MAX_PARTS as u128).map(|model| contributed(part(Some(model), 0.5, &["ich"])));
    let events: Vec<_> = [created()].into_iter().chain(full).collect();
    let item = || given::<WorklistItem>(events.clone());
    let again = part(Some(1), 0.9, &[]);
    let beyond = part(Some(1000), 0.9, &[]);
    item()
        .when(Command::Contribute(again.clone()))
        .then([contributed(again)]);
    item()
        .when(Command::Contribute(beyond))
        .refused(Error::TooManyModels);
}

#[test]
fn no_contribution_changes_the_clinicians_priority() {
    let stat = contributed(part(Some(1), 1.0, &["ich"]));
    let item = given::<WorklistItem>([created(), stat]).state();
    assert_eq!(item.priority, new_item().priority);
}

#[test]
fn contributions_survive_cancellation_and_a_second_creation() {
    let cancelled = moved(Status::Cancelled);
    let item = given::<WorklistItem>([
        created(),
        contributed(part(Some(1), 0.92, &["ich"])),
        cancelled,
        contributed(part(Some(2), 0.3, &[])),
        created(),
    ])
    .state();
    assert_eq!(item.triage.contributions().len(), 2);
    assert_eq!(item.triage.score(), Some(score(0.92)));
}

#[test]
fn a_score_by_hand_is_a_contribution_without_a_model_and_keeps_what_is_not_told() {
    let by_hand = |score, flags| {
        Command::Update(Box::new(Update {
            ai_triage_score: Change::from(score),
            ai_triage_flags: Change::from(flags),
            ..nothing_yet(Authority::Any)
        }))
    };
    let told = contributed(part(None, 0.4, &["ich"]));
    an_item(Status::Pending)
        .when(by_hand(Some(score(0.4)), Some(vec![text("ich")])))
        .then([told.clone()]);
    given::<WorklistItem>([created(), told.clone()])
        .when(by_hand(Some(score(0.5)), None))
        .then([contributed(part(None, 0.5, &["ich"]))]);
    given::<WorklistItem>([created(), told.clone()])
        .when(by_hand(Some(score(0.4)), None))
        .then([]);
    let clear = || {
        Command::Update(Box::new(Update {
            ai_triage_score: Change::Clear,
            ai_triage_flags: Change::Clear,
            ..nothing_yet(Authority::Any)
        }))
    };
    an_item(Status::Pending).when(clear()).then([]);
    let nothing = AiContribution {
        score: None,
        ..part(None, 0.4, &[])
    };
    given::<WorklistItem>([created(), told])
        .when(clear())
        .then([contributed(nothing)]);
}

#[test]
fn the_resource_shows_score_flags_and_parts() {
    let event = contributed(part(Some(1), 0.92, &["ich"]));
    let item = given::<WorklistItem>([created(), event]).state();
    let shown = serde_json::to_value(&item).unwrap();
    assert_eq!(shown["ai_triage_score"], 0.92);
    assert_eq!(shown["ai_triage_flags"]["flags"][0], "ich");
    assert_eq!(shown["ai_contributions"][0]["score"], 0.92);
    let back: WorklistItem = serde_json::from_value(shown).unwrap();
    assert_eq!(back.triage, item.triage);
}
