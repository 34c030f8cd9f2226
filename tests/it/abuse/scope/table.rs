//! Requests with an id in one place, for every place.

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};

use super::ids::{Ids, Own, uid};
use super::places::Position;
use crate::test_app::with;

/// Request with an id in one place: in the path, in the query of a GET, or in the body.
pub(super) struct Row {
    pub(super) route: &'static str,
    pub(super) place: &'static str,
    id: String,
    /// Second id of a path that has two.
    beside: Option<(&'static str, String)>,
    query: String,
    body: Value,
    /// Response if the id does not exist: status and code. It shows that the request reached the lookup.
    pub(super) answer: (u16, &'static str),
}

fn row(route: &'static str, place: &'static str, id: &str) -> Row {
    Row {
        route,
        place,
        id: id.to_owned(),
        beside: None,
        query: String::new(),
        body: json!({}),
        answer: (404, "not_found"),
    }
}

impl Row {
    fn body(self, body: Value) -> Self {
        Self { body, ..self }
    }

    fn answered(self, status: u16, code: &'static str) -> Self {
        Self {
            answer: (status, code),
            ..self
        }
    }

    /// Returns the route and the place of the id.
    pub(super) fn position(&self) -> Position {
        (self.route.to_owned(), self.place.to_owned())
    }

    /// Returns method, path with query, and body, with the id in its place.
    pub(super) fn request(&self) -> Result<(Method, String, Vec<u8>)> {
        let (verb, template) = self.route.split_once(' ').unwrap_or_default();
        let method: Method = verb.parse()?;
        let mut path = template.to_owned();
        let mut query = self.query.clone();
        let mut body = self.body.clone();
        if let Some((name, id)) = &self.beside {
            path = path.replace(&format!("{{{name}}}"), id);
        }
        let in_path = format!("{{{}}}", self.place);
        if path.contains(&in_path) {
            path = path.replace(&in_path, &self.id);
        } else if method.is_safe() {
            query = format!("{query}&{}={}", self.place, self.id);
        } else {
            body = with(body, json!({ (self.place): self.id }));
        }
        let body = if method.is_safe() {
            Vec::new()
        } else {
            serde_json::to_vec(&body)?
        };
        Ok((
            method,
            format!("{path}?{}", query.trim_start_matches('&')),
            body,
        ))
    }
}

/// Returns a row for every place of an id, and another one for each read that supports `as_of`.
pub(super) fn rows(ids: &Ids, own: &Own, head: u64) -> Vec<Row> {
    let mut rows = of_one(ids, head);
    rows.extend(within_one(ids));
    rows.extend(in_queries(ids));
    rows.extend(changes(ids));
    rows.extend(steps(ids, own));
    rows.extend(imaging(ids, own));
    rows.extend(reading(ids, own));
    rows
}

fn of_one(ids: &Ids, head: u64) -> Vec<Row> {
    let routes = [
        ("GET /imaging/modalities/{id}", &ids.modality),
        ("GET /imaging/procedures/{id}", &ids.procedure),
        ("GET /imaging/orders/{id}", &ids.order),
        ("GET /pacs/endpoints/{id}", &ids.endpoint),
        ("GET /pacs/studies/{id}", &ids.study),
        ("GET /radiology/reading-profiles/{id}", &ids.profile),
        ("GET /radiology/worklist/items/{id}", &ids.item),
        ("GET /radiology/templates/{id}", &ids.template),
        ("GET /radiology/reports/{id}", &ids.report),
        ("GET /imaging-ai/models/{id}", &ids.model),
        ("GET /imaging-ai/tasks/{id}", &ids.task),
        ("GET /imaging-ai/outputs/{id}", &ids.output),
    ];
    let rows = routes.into_iter().flat_map(|(route, id)| {
        let past = Row {
            query: format!("as_of={head}"),
            ..row(route, "id", id)
        };
        [row(route, "id", id), past]
    });
    rows.collect()
}

fn within_one(ids: &Ids) -> Vec<Row> {
    vec![
        row("GET /radiology/reports/{id}/addenda", "id", &ids.report),
        row("GET /pacs/studies/{id}/viewer-launch", "id", &ids.study),
        row("GET /patients/{id}/timeline", "id", &ids.patient).answered(200, ""),
    ]
}

fn in_queries(ids: &Ids) -> Vec<Row> {
    let routes = [
        ("GET /imaging/procedures", "modality_id", &ids.modality),
        ("GET /imaging/orders", "patient_id", &ids.patient),
        ("GET /pacs/studies", "patient_id", &ids.patient),
        ("GET /pacs/series", "imaging_study_id", &ids.study),
        ("GET /pacs/instances", "imaging_series_id", &ids.series),
        (
            "GET /radiology/worklist/items",
            "imaging_study_id",
            &ids.study,
        ),
        ("GET /radiology/reports", "patient_id", &ids.patient),
        ("GET /radiology/reports", "imaging_study_id", &ids.study),
        ("GET /imaging-ai/tasks", "imaging_study_id", &ids.study),
        ("GET /imaging-ai/tasks", "ai_model_id", &ids.model),
        ("GET /imaging-ai/outputs", "imaging_ai_task_id", &ids.task),
        ("GET /imaging-ai/outputs", "imaging_study_id", &ids.study),
        ("GET /events", "stream_id", &ids.study),
        ("GET /events", "patient_id", &ids.patient),
    ];
    let rows = routes.into_iter().map(|(route, place, id)| {
        let query = match route {
            "GET /events" => "phi=true".to_owned(),
            _ => String::new(),
        };
        Row {
            query,
            ..row(route, place, id).answered(200, "")
        }
    });
    rows.collect()
}

/// Returns changes of resources of the catalog and of a PACS.
fn changes(ids: &Ids) -> Vec<Row> {
    let named = [
        ("PATCH /imaging/modalities/{id}", &ids.modality),
        ("PATCH /imaging/procedures/{id}", &ids.procedure),
        ("PATCH /pacs/endpoints/{id}", &ids.endpoint),
        ("PATCH /radiology/templates/{id}", &ids.template),
        ("PATCH /imaging-ai/models/{id}", &ids.model),
    ];
    let renamed = named
        .into_iter()
        .map(|(route, id)| row(route, "id", id).body(json!({ "name": "another" })));
    let cases = json!({ "max_concurrent_cases": 2 });
    let others = [
        row("PUT /radiology/reading-profiles/{id}", "id", &ids.profile).body(cases.clone()),
        row("PATCH /radiology/reading-profiles/{id}", "id", &ids.profile).body(cases),
        row("PATCH /imaging/orders/{id}", "id", &ids.order).body(json!({ "metadata": { "n": 1 } })),
        row("PATCH /pacs/studies/{id}", "id", &ids.study)
            .body(json!({ "ended_at": "2026-01-31T09:00:00Z" })),
    ];
    renamed.chain(others).collect()
}

/// Returns steps of a case.
fn steps(ids: &Ids, own: &Own) -> Vec<Row> {
    let item = |route| row(route, "id", &ids.item);
    let report = |route| row(route, "id", &ids.report);
    let told = json!({ "recipient": "Dr. Roe", "method": "phone", "read_back": true,
        "communicated_at": "2026-01-31T08:15:00Z" });
    let judged = |place: &'static str, id: &str| {
        let route = "POST /radiology/reports/{id}/ai-suggestions/{output_id}";
        row(route, place, id).body(json!({ "decision": "rejected" }))
    };
    vec![
        item("PATCH /radiology/worklist/items/{id}").body(json!({ "status": "pending" })),
        item("POST /radiology/worklist/items/{id}/claim"),
        item("POST /radiology/worklist/items/{id}/release"),
        row("PATCH /imaging-ai/tasks/{id}/status", "id", &ids.task)
            .body(json!({ "status": "running" })),
        report("PATCH /radiology/reports/{id}").body(json!({ "findings": "none" })),
        report("POST /radiology/reports/{id}/sign").body(json!({ "final": true })),
        report("POST /radiology/reports/{id}/cancel").body(json!({ "reason": "none" })),
        report("POST /radiology/reports/{id}/communications").body(told),
        report("POST /radiology/reports/{id}/addenda").body(json!({ "content": "more" })),
        Row {
            beside: Some(("id", own.report.clone())),
            ..row(
                "POST /radiology/reports/{id}/addenda",
                "radiology_report_id",
                &ids.report,
            )
        }
        .body(json!({ "content": "more" }))
        .answered(422, "unacceptable"),
        Row {
            beside: Some(("output_id", ids.output.clone())),
            ..judged("id", &ids.report)
        },
        Row {
            beside: Some(("id", own.report.clone())),
            ..judged("output_id", &ids.output)
        },
    ]
}

/// Returns references of a new order, study, series, instance, task or output.
fn imaging(ids: &Ids, own: &Own) -> Vec<Row> {
    let order = json!({ "patient_id": own.patient, "imaging_procedure_id": own.procedure,
        "indication": "none" });
    let synced = json!({ "pacs_endpoint_code": "MAIN", "patient_id": own.patient,
        "modality_code": "CT", "study_instance_uid": uid() });
    let task = json!({ "imaging_study_id": own.study, "ai_model_id": own.model,
        "task_type": "triage" });
    let output =
        json!({ "output_type": "triage", "payload": { "triage_score": 0.5, "flags": [] } });
    let refers = |route, place, id: &str, body: &Value| {
        let body = body.clone();
        row(route, place, id)
            .body(body)
            .answered(404, "reference_not_found")
    };
    let sync = "POST /pacs/studies/sync";
    let orders = "POST /imaging/orders";
    let tasks = "POST /imaging-ai/tasks";
    let study = "PATCH /pacs/studies/{id}";
    vec![
        refers(
            "POST /imaging/procedures",
            "modality_id",
            &ids.modality,
            &json!({ "code": "X", "name": "X" }),
        ),
        refers(orders, "imaging_procedure_id", &ids.procedure, &order),
        refers(orders, "patient_id", &ids.patient, &order).answered(201, ""),
        refers(sync, "imaging_order_id", &ids.order, &synced),
        refers(sync, "patient_id", &ids.patient, &synced).answered(201, ""),
        Row {
            beside: Some(("id", own.study.clone())),
            ..refers(study, "imaging_order_id", &ids.order, &json!({}))
        },
        refers(
            "POST /pacs/series",
            "imaging_study_id",
            &ids.study,
            &json!({ "series_instance_uid": uid() }),
        ),
        refers(
            "POST /pacs/instances",
            "imaging_series_id",
            &ids.series,
            &json!({ "sop_instance_uid": uid() }),
        ),
        refers(tasks, "imaging_study_id", &ids.study, &task),
        refers(tasks, "ai_model_id", &ids.model, &task),
        refers(
            "POST /imaging-ai/outputs",
            "imaging_ai_task_id",
            &ids.task,
            &output,
        ),
    ]
}

/// Returns references of a new worklist item or report.
fn reading(ids: &Ids, own: &Own) -> Vec<Row> {
    let item = json!({ "imaging_study_id": own.study, "patient_id": own.patient,
        "modality_code": "CT" });
    let report = json!({ "imaging_study_id": own.study, "patient_id": own.patient });
    let items = "POST /radiology/worklist/items";
    let reports = "POST /radiology/reports";
    let refers = |route, place, id: &str| {
        let body = match route {
            "POST /radiology/reports" => &report,
            _ => &item,
        };
        row(route, place, id)
            .body(body.clone())
            .answered(404, "reference_not_found")
    };
    vec![
        refers(items, "imaging_study_id", &ids.study),
        refers(items, "imaging_order_id", &ids.order).answered(422, "unacceptable"),
        refers(items, "patient_id", &ids.patient).answered(422, "unacceptable"),
        refers(reports, "imaging_study_id", &ids.study),
        refers(reports, "imaging_order_id", &ids.order),
        refers(reports, "template_id", &ids.template),
        refers(reports, "patient_id", &ids.patient).answered(422, "unacceptable"),
    ]
}
