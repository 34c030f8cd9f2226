//! Query parameters that all lists and single resources share.

use anyhow::Result;
use roentgen_api::problem::ProblemCode;
use roentgen_tests::EngineKind;

use crate::assertions::{RejectedRequest, assert_all_rejected};
use crate::test_app::{TestApp, fresh, on_both_engines};

on_both_engines!(refuse_what_they_do_not_know);

const LISTS: [&str; 3] = [
    "/imaging/orders",
    "/imaging/procedures",
    "/imaging/modalities",
];

async fn refuse_what_they_do_not_know(engine: EngineKind) -> Result<()> {
    let house = TestApp::start(engine).await?;
    for list in LISTS {
        let one = format!("{list}/{}", fresh());
        let bad_ids = [
            "x",
            "123",
            "%00",
            "%F0%9F%98%80",
            "%ff",
            "..%2F..",
            "ffffffff-ffff-ffff-ffff-fffffffffffg",
        ]
        .map(|text| format!("{list}/{text}"));
        let many = format!("{list}?limit=2&limit=2");
        let mut queries = Vec::new();
        for bad in [
            "limit=0",
            "limit=501",
            "limit=-1",
            "limit=x",
            "limit=",
            "limit=1.5",
            "limit=99999999999",
            "limt=1",
            "LIMIT=1",
            "=",
            "offset=1",
            "sort=asc",
            "tenant_id=x",
            "tenant_id=",
        ] {
            queries.push(format!("{list}?{bad}"));
        }
        for (name, bad) in filters(list) {
            queries.push(format!("{list}?{name}={bad}"));
            queries.push(format!("{list}?{name}={bad}&{name}={bad}"));
        }
        let strange = format!("{one}?limit=1");
        let refused = bad_ids.iter().chain(&queries).chain([&many, &strange]);
        let refused =
            refused.map(|refused| RejectedRequest::get(refused, ProblemCode::InvalidParameter));
        let patched = bad_ids
            .iter()
            .map(|text| RejectedRequest::patch(text, "{}", ProblemCode::InvalidParameter));
        let refused = refused.chain(patched).collect();
        assert_all_rejected(&house.client, refused).await?;
        let commands = vec![
            RejectedRequest::post(&many, "{}", ProblemCode::InvalidParameter),
            RejectedRequest::patch(&strange, "{}", ProblemCode::InvalidParameter),
        ];
        assert_all_rejected(&house.client, commands).await?;
        for limit in [1, 500] {
            let listed = house.client.get(&format!("{list}?limit={limit}")).await?;
            assert_eq!(listed.status, 200, "{listed:?}");
        }
    }
    Ok(())
}

/// Returns the filters of a list, each with an invalid value.
fn filters(list: &str) -> &'static [(&'static str, &'static str)] {
    match list {
        "/imaging/orders" => &[
            ("patient_id", "x"),
            ("encounter_id", "17"),
            ("accession_number", "12345678901234567"),
            ("accession_number", ""),
            ("status", "begun"),
            ("status", ""),
            ("status", "requested,scheduled"),
            ("priority", "now"),
            ("from_date", "yesterday"),
            ("from_date", "2026-02-30"),
            ("to_date", "2026-01-31T25:00:00Z"),
            ("to_date", "2026-01-31T10:00:00"),
        ],
        "/imaging/procedures" => &[
            ("modality_id", "CT"),
            ("search", "a%00"),
            ("body_part", "%00"),
            ("is_active", "yes"),
            ("is_active", ""),
        ],
        _ => &[("is_active", "1"), ("is_active", "TRUE")],
    }
}
