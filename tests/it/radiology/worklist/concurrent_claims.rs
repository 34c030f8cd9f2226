//! Concurrent claims through two servers on one database.

use std::collections::BTreeSet;

use anyhow::Result;
use futures_util::future::try_join_all;
use roentgen_tests::{EngineKind, TestResponse};
use serde_json::json;

use super::super::fixtures::{ITEMS, RadiologistClient, WorklistApp, WorklistCase};
use crate::assertions::log_head;
use crate::test_app::on_both_engines;

on_both_engines!(
    of_a_hundred_claims_with_a_limit_of_five_exactly_five_succeed,
    of_a_hundred_radiologists_on_one_case_exactly_one_holds_it,
    a_caseload_is_what_its_radiologist_holds_whatever_came_at_once,
);

const MANY: usize = 100;

fn with(answers: &[TestResponse], status: u16, code: &str) -> usize {
    let such = |response: &&TestResponse| response.status == status && response.code() == code;
    answers.iter().filter(such).count()
}

/// Returns the highest position that these responses acknowledge.
fn written(answers: &[TestResponse]) -> u64 {
    let done = answers.iter().filter(|response| response.status == 200);
    let positions = done.map(|response| response.number("log-position"));
    positions.max().unwrap_or_default()
}

async fn of_a_hundred_claims_with_a_limit_of_five_exactly_five_succeed(
    engine: EngineKind,
) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let neighbour = room.neighbour().await?;
    let anna = room
        .radiologist_with(json!({ "max_concurrent_cases": 5 }))
        .await?
        .repeating();
    let items = room.items(MANY).await?;
    let sides = [anna.clone(), anna.towards(&neighbour)];
    let claims = items
        .iter()
        .enumerate()
        .map(|(n, item)| sides[n % 2].claim(item));
    let answers = try_join_all(claims).await?;
    room.told(written(&answers)).await?;
    assert_eq!(
        (
            with(&answers, 200, ""),
            with(&answers, 409, "case_limit_reached")
        ),
        (5, MANY - 5),
        "{answers:?}"
    );
    let held: BTreeSet<String> = answers
        .iter()
        .filter(|response| response.status == 200)
        .map(|response| response.text_at("/id"))
        .collect();
    let open = room.open_cases(anna.id).await?;
    assert_eq!(open.into_iter().collect::<BTreeSet<_>>(), held);
    Ok(())
}

async fn of_a_hundred_radiologists_on_one_case_exactly_one_holds_it(
    engine: EngineKind,
) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let neighbour = room.neighbour().await?;
    let item = room.item(json!({})).await?;
    let mut radiologists = Vec::new();
    for n in 0..MANY {
        let one = room.radiologist()?.repeating();
        radiologists.push(if n % 2 == 0 {
            one
        } else {
            one.towards(&neighbour)
        });
    }
    let before = log_head(&room.house.client).await?;
    let claims = radiologists.iter().map(|client| client.claim(&item));
    let answers = try_join_all(claims).await?;
    room.told(written(&answers)).await?;
    assert_eq!(
        (
            with(&answers, 200, ""),
            with(&answers, 409, "transition_refused")
        ),
        (1, MANY - 1),
        "{answers:?}"
    );
    assert_eq!(
        log_head(&room.house.client).await?,
        before + 2,
        "the claim and the case taken, and nothing else"
    );
    Ok(())
}

const CLIENTS: usize = 32;
const STEPS: usize = 12;
const CASE_LIMIT: usize = 3;

async fn a_caseload_is_what_its_radiologist_holds_whatever_came_at_once(
    engine: EngineKind,
) -> Result<()> {
    let room = WorklistApp::open(engine).await?;
    let neighbour = room.neighbour().await?;
    let mut radiologists = Vec::new();
    for _ in 0..6 {
        let limited = json!({ "max_concurrent_cases": CASE_LIMIT });
        radiologists.push(room.radiologist_with(limited).await?);
    }
    let items = room.items(24).await?;
    let admin = &room.house.client;
    let clients = (0..CLIENTS).map(|n| {
        let own = radiologists[n % radiologists.len()].repeating();
        let own = if n % 2 == 0 {
            own
        } else {
            own.towards(&neighbour)
        };
        let desk = admin.repeating().with_base_url(if n % 2 == 0 {
            &room.house.server.base
        } else {
            &neighbour.base
        });
        let items = &items;
        async move {
            let mut chance = Chance(n as u64 + 1);
            let mut last = 0;
            for _ in 0..STEPS {
                let item = &items[chance.below(items.len())];
                let answer = step(&own, &desk, item, chance.below(7)).await?;
                let known = answer.status == 200 || answer.status == 409;
                assert!(known, "{answer:?}");
                if answer.status == 200 {
                    last = answer.number("log-position").max(last);
                }
            }
            anyhow::Ok(last)
        }
    });
    let last = try_join_all(clients).await?.into_iter().max();
    room.told(last.unwrap_or_default()).await?;
    agrees(&room, &radiologists).await
}

async fn step(
    own: &RadiologistClient,
    desk: &roentgen_tests::TestClient,
    item: &WorklistCase,
    kind: usize,
) -> Result<TestResponse> {
    match kind {
        0..3 => own.claim(item).await,
        3 => own.release(item).await,
        4 => own.moves(item, "completed").await,
        5 => {
            desk.patch(&item.place, &json!({ "status": "pending" }))
                .await
        }
        _ => {
            let assign = json!({ "status": "pending", "assigned_radiologist_id": own.id });
            desk.patch(&item.place, &assign).await
        }
    }
}

/// Checks that each caseload's last event equals the list, and that no caseload ever exceeded the limit.
async fn agrees(room: &WorklistApp, radiologists: &[RadiologistClient]) -> Result<()> {
    let head = log_head(&room.house.client).await?.to_string();
    for radiologist in radiologists {
        let fresh = radiologist.client.with("min-log-position", &head);
        let held = fresh.get(&format!("{ITEMS}?assigned_to_me=true")).await?;
        let open = room.open_cases(radiologist.id).await?;
        let open: BTreeSet<String> = open.into_iter().collect();
        let held: BTreeSet<String> = held.ids().into_iter().collect();
        assert_eq!(open, held);
    }
    let taken = "/events?types=RadiologistCaseload.CaseTaken&limit=5000";
    let taken = room.house.client.get(taken).await?.lines();
    assert!(!taken.is_empty());
    for event in taken {
        let open = event["data"]["open_cases"].as_array().map(Vec::len);
        assert!(open.is_some_and(|number| number <= CASE_LIMIT), "{event}");
    }
    Ok(())
}

/// Random numbers that are the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default() % bound
    }
}
