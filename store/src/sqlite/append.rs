//! Appends a batch in one transaction: read the snapshot, decide, write.
//!
//! Each call of SQLite is a hop to its thread. A batch of any size therefore takes the same few calls: BEGIN, one query
//! for the snapshot, one insert each for events, streams and reservations, COMMIT.

use std::collections::HashMap;

use roentgen_domain::ids::{EventId, StreamId};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::append_decision::{AppendSnapshot, ExistingKeys, WrittenEvent, decide};
use super::error_class::classify;
use super::file::{File, begin, commit};
use super::keys::{REGISTER, hex_pairs, register_row};
use super::row_reader::SqliteRowReader;
use super::statement::{Insert, SqliteStatement, hex_array, int, run_all};
use crate::chain::{Digest, Head, hex, link};
use crate::clock;
use crate::error::{Corruption, EngineError};
use crate::log::{
    AppendBatch, AppendOutcome, BatchOutcome, HeldReservation, NewEvent, NewPatientKey,
    PreparedAppend, Reservation, ReservationKey,
};

/// Rejects a batch that would leave a gap in a stream: each written stream has one expected version, and its events
/// follow at consecutive versions.
pub(super) fn assert_sound(batch: &AppendBatch<'_>) -> Result<(), EngineError> {
    let sound = batch.appends.iter().all(|append| is_well_formed(append));
    sound.then_some(()).ok_or_else(|| {
        let what = "event without exactly one expected version, no leaf, or not the next version";
        EngineError::Rejected(sqlx::Error::InvalidArgument(what.to_owned()))
    })
}

fn is_well_formed(PreparedAppend { append, leaves }: &PreparedAppend) -> bool {
    let covered = append.checks.iter().map(|check| {
        let events = append.events.iter();
        let own = events.filter(|event| event.stream_id == check.stream_id);
        (check.expected + 1..)
            .zip(own)
            .try_fold(0, |seen, (next, event)| {
                (event.version == next).then_some(seen + 1)
            })
    });
    covered.sum::<Option<usize>>() == Some(append.events.len())
        && leaves.len() == append.events.len()
}

/// Decides each append separately, and writes the accepted ones.
pub(super) async fn append(
    log: &File,
    batch: &AppendBatch<'_>,
    existing_keys: ExistingKeys,
) -> Result<BatchOutcome, EngineError> {
    let mut writing = log.write().await?;
    let mut transaction = begin(&mut writing).await?;
    let now_ms = clock::now_ms();
    let look = look(&mut transaction, batch, now_ms, existing_keys).await?;
    let recorded_at_ms = now_ms.max(look.recorded_at_ms);
    let verdicts = decide(batch, &look);
    let winners = winners(batch, &verdicts);
    if !winners.is_empty() {
        write(&mut transaction, &winners, look.head, recorded_at_ms).await?;
        commit(transaction).await?;
    }
    Ok(BatchOutcome {
        verdicts,
        before: look.head,
        recorded_at_ms,
    })
}

async fn look(
    connection: &mut SqliteConnection,
    batch: &AppendBatch<'_>,
    now_ms: i64,
    existing_keys: ExistingKeys,
) -> Result<AppendSnapshot, EngineError> {
    let appends = || batch.appends.iter().map(|append| &append.append);
    let checks = appends().flat_map(|append| &append.checks);
    let claims = appends().flat_map(|append| &append.claims);
    let sent_before = appends()
        .filter(|_| batch.resend)
        .filter_map(|append| append.events.first());
    let rows = sqlx::query(include_str!("queries/append_snapshot.sql"))
        .bind(hex_array(checks.map(|version| version.stream_id.as_uuid())))
        .bind(hex_array(claims.map(|reservation| reservation.key.0)))
        .bind(now_ms)
        .bind(places(sent_before))
        .bind(hex_pairs(
            appends()
                .flat_map(|append| &append.patient_keys)
                .map(NewPatientKey::patient),
        ))
        .fetch_all(connection)
        .await
        .map_err(classify)?;
    rows.iter()
        .try_fold(AppendSnapshot::empty(existing_keys), seen)
}

/// Returns a JSON array of `[stream id, version]`.
fn places<'a>(events: impl Iterator<Item = &'a NewEvent>) -> String {
    let pairs: Vec<String> = events
        .map(|event| (hex(event.stream_id.as_uuid().as_bytes()), event.version))
        .map(|(stream_id, version)| format!("[\"{stream_id}\",{version}]"))
        .collect();
    format!("[{}]", pairs.join(","))
}

/// Adds one row of the query to the snapshot.
fn seen(mut look: AppendSnapshot, row: &SqliteRow) -> Result<AppendSnapshot, EngineError> {
    let fields = SqliteRowReader::new(row);
    match fields.get("subject")? {
        "head" => {
            look.head = Head {
                position: fields.number("number")?,
                hash: fields.digest("digest")?,
            };
            look.recorded_at_ms = fields.get("time")?;
        }
        "stream" => {
            let stream_id = StreamId::from(fields.get::<Uuid>("key")?);
            look.versions.insert(stream_id, fields.number("number")?);
        }
        "claim" => {
            let held = HeldReservation {
                request_hash: fields.digest("digest")?,
                stream_id: fields.get::<Uuid>("stream_id")?.into(),
                version: fields.number("number")?,
                expires_at_ms: fields.get("time")?,
            };
            look.held
                .insert(ReservationKey(fields.digest("key")?), held);
        }
        "event" => {
            let standing = WrittenEvent {
                position: fields.number("number")?,
                recorded_at_ms: fields.get("time")?,
            };
            look.standing
                .insert(EventId::from(fields.get::<Uuid>("key")?), standing);
        }
        "key" => look.registered.push((
            fields.get::<Uuid>("digest")?.into(),
            fields.get::<Uuid>("stream_id")?.into(),
            fields.get("key")?,
        )),
        _ => return Err(Corruption::AppendResult.into()),
    }
    Ok(look)
}

fn winners<'a>(batch: &AppendBatch<'a>, verdicts: &[AppendOutcome]) -> Vec<&'a PreparedAppend> {
    let pairs = batch.appends.iter().zip(verdicts);
    pairs
        .filter(|(_, verdict)| **verdict == AppendOutcome::Written)
        .map(|(append, _)| *append)
        .collect()
}

async fn write(
    connection: &mut SqliteConnection,
    winners: &[&PreparedAppend],
    head: Head,
    recorded_at_ms: i64,
) -> Result<(), EngineError> {
    let events = placed(winners, head, recorded_at_ms);
    let claims: Vec<Reservation> = winners
        .iter()
        .flat_map(|append| &append.append.claims)
        .copied()
        .collect();
    let mut statements = EVENTS.statements(&events, |query, event| {
        event_row(query, event, recorded_at_ms)
    });
    statements.extend(STREAMS.statements(&moved(&events), stream_row));
    statements.extend(CLAIMS.statements(&claims, claim_row));
    let keys: Vec<&NewPatientKey> = winners
        .iter()
        .flat_map(|append| &append.append.patient_keys)
        .collect();
    statements.extend(REGISTER.statements(&keys, |query, key| register_row(query, key)));
    run_all(connection, statements).await
}

/// Event with its position and hashes.
struct PlacedEvent<'a> {
    position: u64,
    event: &'a NewEvent,
    leaf: Digest,
    hash: Digest,
}

fn placed<'a>(
    winners: &[&'a PreparedAppend],
    head: Head,
    recorded_at_ms: i64,
) -> Vec<PlacedEvent<'a>> {
    let events = winners
        .iter()
        .flat_map(|append| append.append.events.iter().zip(&append.leaves));
    let mut last = head;
    events
        .map(|(event, leaf)| {
            let position = last.position + 1;
            let hash = link(&last.hash, position, recorded_at_ms, leaf);
            last = Head { position, hash };
            PlacedEvent {
                position,
                event,
                leaf: *leaf,
                hash,
            }
        })
        .collect()
}

/// State of a stream after the batch.
struct StreamUpdate<'a> {
    first_position: u64,
    last: &'a PlacedEvent<'a>,
}

fn moved<'a>(events: &'a [PlacedEvent<'a>]) -> Vec<StreamUpdate<'a>> {
    let mut places: HashMap<StreamId, usize> = HashMap::new();
    let mut streams: Vec<StreamUpdate<'a>> = Vec::new();
    for event in events {
        let place = *places.entry(event.event.stream_id).or_insert(streams.len());
        match streams.get_mut(place) {
            Some(stream) => stream.last = event,
            None => streams.push(StreamUpdate {
                first_position: event.position,
                last: event,
            }),
        }
    }
    streams
}

const EVENTS: Insert<'static> = Insert {
    into: "events",
    columns: "position, tenant, stream_type, stream_id, version, event_id, type, schema_version, \
              recorded_at, payload, sealed, metadata, leaf, hash",
    on_conflict: "",
};

fn event_row(
    query: SqliteStatement,
    placed: &PlacedEvent<'_>,
    recorded_at_ms: i64,
) -> SqliteStatement {
    let event = placed.event;
    query
        .bind(int(placed.position))
        .bind(event.tenant_id.as_uuid())
        .bind(event.stream_type)
        .bind(event.stream_id.as_uuid())
        .bind(int(event.version))
        .bind(event.event_id.as_uuid())
        .bind(event.event_type)
        .bind(event.schema_version)
        .bind(recorded_at_ms)
        .bind(event.payload.as_str())
        .bind(event.sealed.as_slice())
        .bind(event.metadata.as_str())
        .bind(placed.leaf.as_slice())
        .bind(placed.hash.as_slice())
}

const STREAMS: Insert<'static> = Insert {
    into: "streams",
    columns: "id, type, tenant, version, first_position, last_position",
    on_conflict: "ON CONFLICT (id) DO UPDATE SET version = excluded.version, \
                  last_position = excluded.last_position",
};

fn stream_row(query: SqliteStatement, stream: &StreamUpdate<'_>) -> SqliteStatement {
    let event = stream.last.event;
    query
        .bind(event.stream_id.as_uuid())
        .bind(event.stream_type)
        .bind(event.tenant_id.as_uuid())
        .bind(int(event.version))
        .bind(int(stream.first_position))
        .bind(int(stream.last.position))
}

/// Insert of reservations. An existing one has expired, or is the same reservation.
const CLAIMS: Insert<'static> = Insert {
    into: "claims",
    columns: "key, request_hash, stream_id, version, expires_at",
    on_conflict: "ON CONFLICT (key) DO UPDATE SET request_hash = excluded.request_hash, \
                  stream_id = excluded.stream_id, version = excluded.version, \
                  expires_at = excluded.expires_at",
};

fn claim_row(query: SqliteStatement, claim: &Reservation) -> SqliteStatement {
    query
        .bind(claim.key.0.to_vec())
        .bind(claim.held.request_hash.to_vec())
        .bind(claim.held.stream_id.as_uuid())
        .bind(int(claim.held.version))
        .bind(claim.held.expires_at_ms)
}
