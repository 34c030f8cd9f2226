//! Bodies that are the most expensive to parse for their length: very many empty elements.

use std::sync::Arc;

use roentgen_store::clock;

use super::an_order;
use crate::fairness::flood::{Asked, Caller};
use crate::http_client::Connection;

const CALLERS: usize = 4;
/// Maximum body size of a sync, and of any other request, in bytes.
const LARGEST_BYTES: usize = 8 * 1024 * 1024;
const LARGE_BYTES: usize = 512 * 1024;
/// Nesting depth.
const DEPTH: usize = 60;

/// Method, path and body.
type Sent = (&'static str, String, Arc<str>);

pub(super) async fn callers(
    admin: &mut Connection,
    procedure: &str,
) -> anyhow::Result<Vec<Caller>> {
    let order = an_order(admin, procedure).await?;
    let mut all: Vec<Sent> = syncs();
    let nested = format!("{}1{}", r#"{"":"#.repeat(DEPTH), "}".repeat(DEPTH));
    for element in ["{}", "[]", r#"{"":0}"#, "0", nested.as_str()] {
        let list = filled(element, LARGE_BYTES);
        let metadata = format!(r#"{{"metadata":{{"a":{list}}}}}"#);
        all.push(("PATCH", order.clone(), metadata.into()));
        let schema = format!(
            r#"{{"code":"X","name":"x","template_type":"structured","schema":{{"enum":{list}}}}}"#
        );
        all.push(("POST", "/radiology/templates".to_owned(), schema.into()));
        let output = format!(
            r#"{{"imaging_ai_task_id":"{}","output_type":"finding_list","payload":{{"findings":{list}}}}}"#,
            clock::fresh_id()
        );
        all.push(("POST", "/imaging-ai/outputs".to_owned(), output.into()));
    }
    let all: Arc<[Sent]> = all.into();
    Ok((0..CALLERS)
        .map(|first| caller(Arc::clone(&all), first))
        .collect())
}

/// Returns studies with empty series and instances.
fn syncs() -> Vec<Sent> {
    let begin = format!(
        r#"{{"pacs_endpoint_code":"MAIN","study_instance_uid":"1.2.3","modality_code":"CT","patient_id":"{}""#,
        clock::fresh_id()
    );
    let sync = |members: String| -> Sent {
        let body = format!("{begin},{members}}}");
        ("POST", "/pacs/studies/sync".to_owned(), body.into())
    };
    let mut all = Vec::new();
    for element in ["{}", "[]", r#"{"":0}"#, r#"{"series_instance_uid":"1"}"#] {
        let list = filled(element, LARGEST_BYTES - begin.len() - 128);
        all.push(sync(format!(r#""series":{list}"#)));
        all.push(sync(format!(
            r#""series":[{{"series_instance_uid":"1","instances":{list}}}]"#
        )));
    }
    all
}

/// Returns a JSON array of this element, repeated up to this number of bytes.
fn filled(element: &str, bytes: usize) -> String {
    let count = (bytes - 2) / (element.len() + 1);
    format!("[{}]", vec![element; count].join(","))
}

fn caller(all: Arc<[Sent]>, first: usize) -> Caller {
    let mut next = first * all.len() / CALLERS;
    Box::new(move |_| {
        next += 1;
        let place = next % all.len();
        let (method, path, body) = all.get(place).cloned().unwrap_or_default();
        Asked::with(method, path, body)
    })
}
