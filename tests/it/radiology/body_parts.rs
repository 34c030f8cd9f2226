//! Body parts are compared in the same way everywhere: without padding, case-insensitively in any script.

use anyhow::Result;
use roentgen_tests::EngineKind;
use serde_json::{Value, json};

use super::fixtures::ITEMS;
use super::reports::{REPORTS, a_draft, case, images, start_with_archive};
use super::templates::a_template;
use crate::test_app::on_both_engines;

on_both_engines!(
    a_case_is_found_claimed_and_reported_whatever_the_body_part_was_written_like,
    the_catalog_is_listed_by_a_body_part_whatever_it_was_written_like,
);

/// Spellings in the catalog, in a study and in a filter.
const SAME: [[&str; 3]; 4] = [
    ["CHEST", "CHEST ", "chest"],
    ["sch\u{e4}del", "SCH\u{c4}DEL", "Scha\u{308}del"],
    ["Fu\u{df}", "FUSS ", "fuss"],
    [
        "\u{3a0}\u{3a9}\u{39c}\u{39f}\u{3a3}",
        "\u{3c0}\u{3c9}\u{3bc}\u{3bf}\u{3c2}",
        "\u{3a0}\u{3c9}\u{3bc}\u{3bf}\u{3c3}",
    ],
];

fn query(body_part: &str) -> String {
    serde_urlencoded::to_string([("body_part", body_part)]).unwrap_or_default()
}

async fn a_case_is_found_claimed_and_reported_whatever_the_body_part_was_written_like(
    engine: EngineKind,
) -> Result<()> {
    let room = start_with_archive(engine).await?;
    for [of_catalog, of_study, of_filter] in SAME {
        let template = a_template(&room.house, json!({ "body_part": of_catalog })).await?;
        let profile = json!({ "allowed_body_parts": [of_catalog], "allowed_modalities": ["ct "] });
        let radiologist = room.radiologist_with(profile).await?;
        let members = json!({ "body_part": of_study, "modality_code": "CT " });
        let ours = images(&room, members).await?;
        let place = case(&room, &ours).await?;
        let item = room.house.client.get(&place).await?;
        assert_eq!(item.text_at("/body_part"), of_study.trim(), "{item:?}");
        let found = format!("{ITEMS}?modality=ct&{}", query(of_filter));
        let found = room.house.client.get(&found).await?;
        assert_eq!(found.ids(), [item.text_at("/id")], "{of_filter} {found:?}");
        let claimed = radiologist
            .client
            .post(&format!("{place}/claim"), &json!({}))
            .await?;
        assert_eq!(claimed.status, 200, "{of_study} {claimed:?}");
        let report = a_draft(&radiologist, &ours, json!({ "template_id": template })).await?;
        assert!(report.starts_with(REPORTS));
    }
    Ok(())
}

async fn the_catalog_is_listed_by_a_body_part_whatever_it_was_written_like(
    engine: EngineKind,
) -> Result<()> {
    let room = start_with_archive(engine).await?;
    let client = &room.house.client;
    let modality = client.get("/imaging/modalities").await?.ids().concat();
    for (n, [of_catalog, padded, of_filter]) in SAME.into_iter().enumerate() {
        let resources: [(&str, Value); 3] = [
            ("/imaging/procedures", json!({ "modality_id": modality })),
            (
                "/radiology/templates",
                json!({ "template_type": "free_text" }),
            ),
            (
                "/imaging-ai/models",
                json!({ "capabilities": { "triage": true } }),
            ),
        ];
        for (list, members) in resources {
            let body =
                json!({ "code": format!("C{n}"), "name": of_catalog, "body_part": of_catalog });
            let created = client
                .post(list, &crate::test_app::with(body, members))
                .await?;
            assert_eq!(created.status, 201, "{created:?}");
            for asked in [of_catalog, padded, of_filter] {
                let found = client.get(&format!("{list}?{}", query(asked))).await?;
                assert_eq!(
                    found.ids(),
                    [created.text_at("/id")],
                    "{list} {asked} {found:?}"
                );
            }
        }
        let search = serde_urlencoded::to_string([("search", of_filter)])?;
        let found = client.get(&format!("/imaging/procedures?{search}")).await?;
        assert_eq!(found.ids().len(), 1, "{of_filter} {found:?}");
    }
    Ok(())
}
