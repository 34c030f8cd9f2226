//! Publication format of events: CloudEvents 1.0 in binary mode (CloudEvents specification, NATS protocol binding),
//! with the attributes as headers and the payload as body. The payload contains no PHI; the sealed PHI is not
//! published.

use async_nats::header::{HeaderMap, NATS_EXPECTED_LAST_SEQUENCE, NATS_EXPECTED_STREAM};
use async_nats::jetstream::message::StreamMessage;
use bytes::Bytes;
use roentgen_domain::EventMetadata;
use roentgen_store::log::StoredEvent;

use crate::STREAM;
use crate::key::EventKey;

/// Prefix of all subjects; `.<tenant_id>.<type>` follows.
pub(crate) const SUBJECTS: &str = "roentgen.events";

const SPEC_VERSION: &str = "1.0";
/// Source of the events; together with `ce-id`, it makes an event unique.
const SOURCE: &str = "/roentgen";
const CONTENT_TYPE: &str = "application/json";
const ID: &str = "ce-id";
const POSITION: &str = "ce-position";
const SIGNATURE: &str = "ce-signature";

/// Message to publish.
#[derive(Debug)]
pub(crate) struct CloudEventMessage {
    pub(crate) subject: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Builds the signed message of an event. The stream accepts it only if its last sequence is `after`.
pub(crate) fn to_cloud_event(event: &StoredEvent, after: u64, key: &EventKey) -> CloudEventMessage {
    let mut headers = attributes(event);
    headers.insert(SIGNATURE, key.sign(event));
    headers.insert(
        async_nats::header::NATS_MESSAGE_ID,
        event.event_id.to_string(),
    );
    headers.insert(NATS_EXPECTED_STREAM, STREAM);
    headers.insert(NATS_EXPECTED_LAST_SEQUENCE, after.to_string());
    CloudEventMessage {
        subject: format!("{SUBJECTS}.{}.{}", event.tenant_id, event.event_type),
        headers,
        body: Bytes::copy_from_slice(event.payload.as_bytes()),
    }
}

fn attributes(event: &StoredEvent) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("ce-specversion", SPEC_VERSION);
    headers.insert(ID, event.event_id.to_string());
    headers.insert("ce-source", SOURCE);
    headers.insert("ce-type", &*event.event_type);
    headers.insert(
        "ce-subject",
        format!("{}/{}", event.stream_type, event.stream_id),
    );
    headers.insert("ce-time", event.recorded_at().to_string());
    headers.insert("ce-datacontenttype", CONTENT_TYPE);
    headers.insert("ce-tenantid", event.tenant_id.to_string());
    headers.insert(POSITION, event.position.to_string());
    headers.insert("ce-streamversion", event.version.to_string());
    headers.insert("ce-schemaversion", event.schema_version.to_string());
    let phi = if event.sealed.is_empty() {
        "open"
    } else {
        "sealed"
    };
    headers.insert("ce-phi", phi);
    // An event with malformed metadata is still published.
    if let Ok(metadata) = serde_json::from_str::<EventMetadata>(&event.metadata) {
        headers.insert("ce-correlationid", metadata.correlation_id.to_string());
        if let Some(causation) = metadata.causation_id {
            headers.insert("ce-causationid", causation.to_string());
        }
    }
    headers
}

/// Attributes of a stored message that identify its event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MessageAttributes {
    pub(crate) position: u64,
    pub(crate) event_id: String,
}

/// Returns the attributes, or `None` if the message is not an event of this system.
pub(crate) fn parse_attributes(message: &StreamMessage) -> Option<MessageAttributes> {
    let text = |name: &str| {
        message
            .headers
            .get(name)
            .map(|header| header.as_str().to_owned())
    };
    Some(MessageAttributes {
        position: text(POSITION)?.parse().ok()?,
        event_id: text(ID)?,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use roentgen_domain::ids::{EventId, StreamId, TenantId};

    use super::*;
    use crate::key::tests::PRIVATE;

    /// Signature of the test event, made with openssl.
    const SIGNED: &str =
        "uuGb212Yyugs6x16N3lakHDNZnlMX4KJq3p9CFG9tqvyDRghBoRpJ48YelKWs8MX7OQndrSHbeQ3tVinAxPBDg==";

    fn key() -> EventKey {
        EventKey::parse(PRIVATE).unwrap()
    }

    fn event() -> StoredEvent {
        let id = |n: u128| uuid::Uuid::from_u128(n);
        StoredEvent {
            position: 7,
            tenant_id: TenantId::from(id(1)),
            stream_type: Arc::from("ImagingOrder"),
            stream_id: StreamId::from(id(2)),
            version: 3,
            event_id: EventId::from(id(3)),
            event_type: Arc::from("ImagingOrder.Cancelled"),
            schema_version: 1,
            recorded_at_ms: 1_700_000_000_123,
            payload: r#"{"order_id":"1"}"#.to_owned(),
            sealed: b"sealed".to_vec(),
            metadata: r#"{"actor":{"sub":"dr. sub","roles":[]},"correlation_id":"00000000-0000-0000-0000-000000000004"}"#.to_owned(),
            leaf: [0; 32],
            hash: [0; 32],
        }
    }

    #[test]
    fn an_event_is_a_cloud_event_in_binary_mode() {
        let sent = to_cloud_event(&event(), 41, &key());
        assert_eq!(
            sent.subject,
            "roentgen.events.00000000-0000-0000-0000-000000000001.ImagingOrder.Cancelled"
        );
        let expected = [
            ("ce-specversion", "1.0"),
            ("ce-id", "00000000-0000-0000-0000-000000000003"),
            ("ce-source", "/roentgen"),
            ("ce-type", "ImagingOrder.Cancelled"),
            (
                "ce-subject",
                "ImagingOrder/00000000-0000-0000-0000-000000000002",
            ),
            ("ce-time", "2023-11-14T22:13:20.123Z"),
            ("ce-datacontenttype", "application/json"),
            ("ce-tenantid", "00000000-0000-0000-0000-000000000001"),
            ("ce-position", "7"),
            ("ce-streamversion", "3"),
            ("ce-schemaversion", "1"),
            ("ce-phi", "sealed"),
            ("ce-correlationid", "00000000-0000-0000-0000-000000000004"),
            ("ce-signature", SIGNED),
            ("Nats-Msg-Id", "00000000-0000-0000-0000-000000000003"),
            ("Nats-Expected-Stream", "ROENTGEN_EVENTS"),
            ("Nats-Expected-Last-Sequence", "41"),
        ];
        assert_eq!(sent.headers.len(), expected.len());
        for (name, value) in expected {
            let found = sent.headers.get(name).map(|header| header.as_str());
            assert_eq!(found, Some(value), "{name}");
        }
    }

    #[test]
    fn the_sealed_part_stays_behind() {
        let sent = to_cloud_event(&event(), 0, &key());
        assert_eq!(&sent.body[..], br#"{"order_id":"1"}"#);
        assert!(!format!("{:?}", sent.headers).contains("dr. sub"));
    }
}
