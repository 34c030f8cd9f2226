//! Imperfect data from a PACS: padding, empty attributes, incomplete patients, impossible times, missing end times.

use anyhow::Result;
use roentgen_tests::EngineKind;
use serde_json::{Value, json};

use super::fixtures::{archive, place, quiet, study, sync};
use crate::assertions::log_head;
use crate::test_app::{fresh, on_both_engines, with};

on_both_engines!(
    empty_attributes_are_absent_ones,
    part_of_a_patient_is_laid_over_what_is_known,
    images_are_taken_where_a_time_beside_them_cannot_be_right,
    a_repeat_is_answered_with_the_same_warnings,
    the_end_of_time_is_a_bound_like_any_other,
    an_order_is_taken_away_and_stays_away,
);

async fn empty_attributes_are_absent_ones(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let empty = json!({ "accession_number": "", "description": "", "body_part": " ", "started_at": "",
        "ended_at": "", "patient": { "mrn": "", "family_name": "", "given_name": "", "birth_date": "", "sex": "" },
        "series": [{ "series_instance_uid": "1.2.3", "body_part": "", "modality_code": "", "description": "",
            "instances": [{ "sop_instance_uid": "1.2.3.4", "sop_class_uid": "" }] }] });
    let synced = sync(&house, &study(empty)).await?;
    assert_eq!(synced.status, 201, "{synced:?}");
    let absent = [
        "accession_number",
        "description",
        "body_part",
        "started_at",
        "ended_at",
        "patient",
        "warnings",
    ];
    for member in absent {
        assert_eq!(synced.json().get(member), None, "{member}");
    }
    assert_eq!(synced.json()["number_of_instances"], 1);
    Ok(())
}

async fn part_of_a_patient_is_laid_over_what_is_known(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let whole = json!({ "mrn": "M1", "family_name": "Roe", "birth_date": "1970-01-01" });
    let body = study(json!({ "patient": whole }));
    sync(&house, &body).await?;
    let of_patient = |patient: Value| with(body.clone(), json!({ "patient": patient }));
    let before = log_head(&house.client).await?;
    for nothing in [
        json!({}),
        json!({ "mrn": null, "sex": "" }),
        json!({ "mrn": "M1" }),
    ] {
        let synced = sync(&house, &of_patient(nothing)).await?;
        assert_eq!(synced.json()["patient"], whole, "{synced:?}");
    }
    assert_eq!(log_head(&house.client).await?, before, "nothing was said");
    let corrected = sync(&house, &of_patient(json!({ "mrn": "M2", "sex": "F" }))).await?;
    let expected = with(whole, json!({ "mrn": "M2", "sex": "female" }));
    assert_eq!(corrected.json()["patient"], expected);
    let read = house.client.get(&place(&corrected)).await?;
    assert_eq!(read.json()["patient"], expected);
    Ok(())
}

/// Returns the pointers of the warnings.
fn warned(answer: &roentgen_tests::TestResponse) -> Vec<String> {
    let document = answer.json();
    let warnings = document["warnings"].as_array().cloned().unwrap_or_default();
    for warning in &warnings {
        assert!(
            warning["detail"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
    }
    let pointers = warnings.iter().map(|warning| warning["pointer"].as_str());
    pointers.flatten().map(str::to_owned).collect()
}

async fn images_are_taken_where_a_time_beside_them_cannot_be_right(
    engine: EngineKind,
) -> Result<()> {
    let house = archive(engine).await?;
    let eight = "2026-01-31T08:00:00Z";
    let nine = "2026-01-31T09:00:00Z";
    let ten = "2026-01-31T10:00:00Z";
    let late = "9999-12-31T23:59:59.999Z";
    let cases: [(Value, Value, &[&str]); 5] = [
        (
            json!({ "started_at": ten }),
            json!({ "ended_at": nine }),
            &["/ended_at"],
        ),
        (
            json!({ "started_at": eight, "ended_at": nine }),
            json!({ "started_at": ten }),
            &["/started_at"],
        ),
        (
            json!({ "started_at": eight }),
            json!({ "ended_at": late }),
            &["/ended_at"],
        ),
        (
            json!({}),
            json!({ "started_at": late, "ended_at": late }),
            &["/started_at", "/ended_at"],
        ),
        (
            json!({ "started_at": eight }),
            json!({ "ended_at": nine }),
            &[],
        ),
    ];
    for (known, told, pointers) in cases {
        let body = study(known);
        let first = sync(&house, &body).await?;
        assert_eq!(warned(&first), [""; 0], "{first:?}");
        let images = json!([{ "series_instance_uid": "1.2.9", "instances": [{ "sop_instance_uid": "1.2.9.1" }] }]);
        let told = with(told, json!({ "series": images }));
        let synced = sync(&house, &with(body, told)).await?;
        assert_eq!(synced.status, 200, "{synced:?}");
        assert_eq!(warned(&synced), pointers, "{synced:?}");
        assert_eq!(synced.json()["number_of_instances"], 1);
        for pointer in pointers {
            let member = &pointer[1..];
            assert_eq!(
                synced.json().get(member),
                first.json().get(member),
                "{pointer}"
            );
        }
        let read = house.client.get(&place(&synced)).await?;
        assert_eq!(read.json().get("warnings"), None, "{read:?}");
    }
    let new = json!({ "started_at": ten, "ended_at": nine });
    let new = sync(&house, &study(new)).await?;
    assert_eq!(
        (new.status, warned(&new)),
        (201, vec!["/ended_at".to_owned()])
    );
    Ok(())
}

async fn a_repeat_is_answered_with_the_same_warnings(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let body =
        study(json!({ "started_at": "2026-01-31T10:00:00Z", "ended_at": "2026-01-31T09:00:00Z" }));
    let keyed = house.client.with("idempotency-key", "once");
    let first = keyed.post("/pacs/studies/sync", &body).await?;
    assert_eq!(warned(&first), ["/ended_at"]);
    let right = json!({ "ended_at": "2026-01-31T11:00:00Z" });
    assert_eq!(sync(&house, &with(body.clone(), right)).await?.status, 200);
    let again = keyed.post("/pacs/studies/sync", &body).await?;
    assert_eq!((again.status, again.text), (201, first.text));
    Ok(())
}

async fn the_end_of_time_is_a_bound_like_any_other(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let order = house.create_order(json!({})).await?;
    let study = sync(&house, &study(json!({}))).await?;
    let ends = [
        "9999-12-31",
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59.999%2B14:00",
    ];
    for list in ["/imaging/orders", "/pacs/studies"] {
        for end in ends {
            let until = house.client.get(&format!("{list}?to_date={end}")).await?;
            assert_eq!(
                (until.status, until.ids().len()),
                (200, 1),
                "{list} {end} {until:?}"
            );
            let from = house.client.get(&format!("{list}?from_date={end}")).await?;
            assert_eq!(
                (from.status, from.ids().len()),
                (200, 0),
                "{list} {end} {from:?}"
            );
        }
        let all = format!("{list}?from_date=0000-01-01T00:00:00%2B14:00&to_date=9999-12-31");
        assert_eq!(house.client.get(&all).await?.ids().len(), 1, "{list}");
    }
    for end in ends {
        for (place, answer) in [(order.header("location"), &order), (place(&study), &study)] {
            let now = house.client.get(&format!("{place}?as_of={end}")).await?;
            assert_eq!(
                (now.status, now.text_at("/id")),
                (200, answer.text_at("/id")),
                "{end} {now:?}"
            );
        }
    }
    for bad in [
        "9999-13-01",
        "9999-12-32",
        "10000-01-01",
        "9999-12-31T25:00:00Z",
        "+010000-01-01T00:00:00Z",
    ] {
        let refused = house
            .client
            .get(&format!("/imaging/orders?to_date={bad}"))
            .await?;
        assert_eq!(refused.status, 400, "{bad} {refused:?}");
    }
    Ok(())
}

async fn an_order_is_taken_away_and_stays_away(engine: EngineKind) -> Result<()> {
    let house = archive(engine).await?;
    let patient = fresh();
    let order = house
        .create_order(json!({ "patient_id": patient, "accession_number": "ACC-1" }))
        .await?;
    let body = study(json!({ "patient_id": patient, "accession_number": "ACC-1" }));
    let synced = sync(&house, &body).await?;
    let place = place(&synced);
    let linked = house.client.get(&place).await?;
    assert_eq!(linked.text_at("/imaging_order_id"), order.text_at("/id"));
    let items = format!(
        "/radiology/worklist/items?imaging_study_id={}",
        synced.text_at("/id")
    );
    let item = house.client.get(&items).await?;
    assert_eq!(item.text_at("/0/imaging_order_id"), order.text_at("/id"));

    let parted = house
        .client
        .patch(&place, &json!({ "imaging_order_id": null }))
        .await?;
    assert_eq!(
        (parted.status, parted.text_at("/link")),
        (200, "unlinked".to_owned()),
        "{parted:?}"
    );
    assert_eq!(parted.json().get("imaging_order_id"), None);
    quiet(&house).await?;
    let item = house.client.get(&items).await?;
    assert_eq!(item.json()[0].get("imaging_order_id"), None, "{item:?}");
    let again = sync(&house, &with(body, json!({ "description": "CT head" }))).await?;
    assert_eq!(
        again.text_at("/link"),
        "unlinked",
        "a person took the order away"
    );
    let back = json!({ "imaging_order_id": order.text_at("/id") });
    let back = house.client.patch(&place, &back).await?;
    assert_eq!(back.text_at("/link"), "linked", "{back:?}");

    for member in ["viewer_url", "ended_at"] {
        let value = match member {
            "viewer_url" => "https://viewer.example/1",
            _ => "2026-01-31T09:00:00Z",
        };
        assert_eq!(
            house
                .client
                .patch(&place, &json!({ member: value }))
                .await?
                .status,
            200
        );
        let cleared = house.client.patch(&place, &json!({ member: null })).await?;
        assert_eq!(cleared.json().get(member), None, "{cleared:?}");
        assert_eq!(house.client.get(&place).await?.text, cleared.text);
    }
    for needed in ["status", "number_of_series", "number_of_instances"] {
        let refused = house.client.patch(&place, &json!({ needed: null })).await?;
        assert_eq!(refused.status, 422, "{refused:?}");
        assert_eq!(
            crate::assertions::pointers(&refused),
            [format!("/{needed}")]
        );
    }
    Ok(())
}
