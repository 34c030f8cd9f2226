//! Limits on the growth of an item's stream, which never block its case.

use super::*;
use crate::growth::{MAX_CHANGES, Size, StreamBudget};

const WITH_RESERVE: u64 = MAX_CHANGES + MAX_CHANGES / 10;

fn item(events: impl IntoIterator<Item = Event>) -> WorklistItem {
    let all = std::iter::once(created()).chain(events);
    let folded = all.fold(None, |item, event| {
        Some(WorklistItem::evolve(item, event).unwrap())
    });
    folded.unwrap()
}

fn by(radiologist_id: PractitionerId) -> Claim {
    Claim {
        radiologist_id,
        assigned_by: None,
    }
}

fn nothing() -> Update {
    Update {
        status: None,
        authority: Authority::Any,
        priority: None,
        assign: Change::Keep,
        ai_triage_score: Change::Keep,
        ai_triage_flags: Change::Keep,
    }
}

fn step(status: RequestedStatus) -> Command {
    Command::Update(Box::new(Update {
        status: Some(status),
        ..nothing()
    }))
}

fn assign(assign: Change<Claim>) -> Command {
    Command::Update(Box::new(Update {
        assign,
        ..nothing()
    }))
}

fn contribution(ai_model_id: Option<AiModelId>) -> Command {
    Command::Contribute(AiContribution {
        ai_model_id,
        imaging_ai_task_id: None,
        score: None,
        flags: vec![text("ICH")],
    })
}

fn cancelled() -> Event {
    let item = item([]);
    let events = WorklistItem::decide(Some(&item), step(RequestedStatus::Cancelled), &context());
    events.unwrap().remove(0)
}

#[test]
fn what_leads_a_case_on_has_no_bound() {
    let waiting = item([]);
    let held = item([claimed(anna())]);
    let idle = Command::ReleaseIdle {
        radiologist_id: anna(),
        claimed_at: context().now,
    };
    for (item, command) in [
        (&waiting, Command::Claim(by(anna()))),
        (&waiting, assign(Change::Set(by(anna())))),
        (&held, step(RequestedStatus::InProgress)),
        (&held, step(RequestedStatus::Completed)),
        (&held, step(RequestedStatus::Cancelled)),
        (&waiting, step(RequestedStatus::Cancelled)),
        (&held, Command::Begin),
        (&held, Command::Complete),
        (&held, Command::ReturnToClaimed),
        (&held, idle),
        (&waiting, Command::Reopen(None)),
        (&waiting, Command::MarkConflict),
        (&waiting, Command::DetachOrder(Uuid::from_u128(8).into())),
        (&waiting, contribution(Some(Uuid::from_u128(9).into()))),
    ] {
        assert_eq!(
            WorklistItem::room(Some(item), &command),
            StreamBudget::Unbounded,
            "{command:?}"
        );
    }
}

#[test]
fn what_leads_back_or_changes_nothing_of_the_case_is_bounded() {
    let waiting = item([]);
    let held = item([claimed(anna())]);
    let called_off = item([cancelled()]);
    let model = Some(Uuid::from_u128(9).into());
    let said = WorklistItem::decide(Some(&waiting), contribution(model), &context()).unwrap();
    let judged = item(said);
    let urgent = Update {
        priority: Some(Priority::Stat),
        ..nothing()
    };
    let hand_over = Update {
        status: Some(RequestedStatus::Pending),
        assign: Change::Set(by(boris())),
        ..nothing()
    };
    for (item, command, room) in [
        (
            &held,
            Command::Release(Authority::Own(anna())),
            StreamBudget::Bounded,
        ),
        (
            &held,
            Command::Update(Box::new(urgent)),
            StreamBudget::Bounded,
        ),
        (
            &called_off,
            step(RequestedStatus::Cancelled),
            StreamBudget::Bounded,
        ),
        (
            &waiting,
            step(RequestedStatus::InProgress),
            StreamBudget::Bounded,
        ),
        (
            &held,
            Command::Release(Authority::Any),
            StreamBudget::Reserved,
        ),
        (
            &held,
            step(RequestedStatus::Pending),
            StreamBudget::Reserved,
        ),
        (&held, assign(Change::Clear), StreamBudget::Reserved),
        (
            &held,
            Command::Update(Box::new(hand_over)),
            StreamBudget::Reserved,
        ),
        (
            &called_off,
            Command::Create(Box::new(new_item())),
            StreamBudget::Reserved,
        ),
        (&judged, contribution(model), StreamBudget::Reserved),
    ] {
        assert_eq!(
            WorklistItem::room(Some(item), &command),
            room,
            "{command:?}"
        );
    }
}

/// Item with its stream version.
struct Growing {
    item: WorklistItem,
    version: u64,
}

impl Growing {
    /// Applies a command; returns whether the budget admits it.
    fn takes(&mut self, command: Command) -> bool {
        let room = WorklistItem::room(Some(&self.item), &command);
        let events = WorklistItem::decide(Some(&self.item), command, &context()).unwrap();
        let version = self.version + events.len() as u64;
        assert!(version > self.version, "nothing changes");
        if !room.admits(version, Size::default()) {
            return false;
        }
        let item = events.into_iter().fold(self.item.clone(), |item, event| {
            WorklistItem::evolve(Some(item), event).unwrap()
        });
        *self = Self { item, version };
        true
    }

    /// Claims and releases the item until one of the two is rejected.
    fn claimed_and_released(&mut self, authority: Authority) {
        let refused = (0..=MAX_CHANGES).any(|_| {
            let claims = self.takes(Command::Claim(by(anna())));
            !claims || !self.takes(Command::Release(authority))
        });
        assert!(refused, "the stream has no end");
    }
}

#[test]
fn who_claims_and_releases_for_ever_ends_with_the_case_and_keeps_it_from_nobody() {
    let mut case = Growing {
        item: item([]),
        version: 1,
    };
    case.claimed_and_released(Authority::Own(anna()));
    assert_eq!(case.item.holder(), Some(anna()), "a claim is not refused");
    assert!(case.version <= MAX_CHANGES + 1, "{}", case.version);
    let release = Command::Release(Authority::Any);
    assert!(case.takes(release), "an administrator's");
    case.claimed_and_released(Authority::Any);
    assert!(case.version <= WITH_RESERVE + 1, "{}", case.version);

    let idle = Command::ReleaseIdle {
        radiologist_id: anna(),
        claimed_at: context().now,
    };
    assert!(case.takes(idle), "an idle claim is released");
    let next = Command::Claim(by(boris()));
    assert!(case.takes(next), "the next one claims");
    assert!(case.takes(Command::Begin));
    assert!(case.takes(Command::Complete));
    assert!(case.takes(Command::Reopen(None)), "late images are read");
}
