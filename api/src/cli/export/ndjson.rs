//! Export as NDJSON: one object per line with every column; payload and actor as stored.

use std::io::{self, Write};

use roentgen_store::chain::hex;

use super::row::Row;

/// Writes one line. Digests are hexadecimal, times RFC 3339.
pub(super) fn write(out: &mut impl Write, row: &Row<'_>) -> io::Result<()> {
    let event = row.event;
    write!(
        out,
        r#"{{"position":{},"id":"{}","tenant_id":"{}","stream_type":"{}","stream_id":"{}","version":{},"type":"{}","schema_version":{},"recorded_at":"{}","actor":{},"correlation_id":"{}","causation_id":"#,
        event.position,
        event.event_id,
        event.tenant_id,
        event.stream_type,
        event.stream_id,
        event.version,
        event.event_type,
        event.schema_version,
        event.recorded_at(),
        row.actor,
        row.correlation_id,
    )?;
    match row.causation_id {
        Some(id) => write!(out, "\"{id}\"")?,
        None => write!(out, "null")?,
    }
    writeln!(
        out,
        r#","data":{},"phi":"{}","leaf":"{}","hash":"{}"}}"#,
        event.payload,
        row.phi(),
        hex(&event.leaf),
        hex(&event.hash),
    )
}
