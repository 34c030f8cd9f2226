//! Encodes a batch as one array per column; each row has the number, from 1, of its append.

use roentgen_domain::ids::StreamId;
use uuid::Uuid;

use crate::clock;
use crate::error::EngineError;
use crate::log::{AppendBatch, NewEvent, NewPatientKey, PreparedAppend, Reservation};
use crate::postgres::row_reader::to_bigint;
use crate::postgres::{Statement, error_class};

use super::predicted_head::{PrecomputedLinks, PredictedHead};

#[derive(Default)]
pub(super) struct AppendArguments<'a> {
    checks: CheckColumns,
    claims: ReservationColumns<'a>,
    keys: PatientKeyColumns<'a>,
    events: EventColumns<'a>,
}

#[derive(Default)]
struct CheckColumns {
    append: Vec<i32>,
    stream: Vec<Uuid>,
    stream_type: Vec<Option<&'static str>>,
    tenant: Vec<Option<Uuid>>,
    expected: Vec<i64>,
    version: Vec<Option<i64>>,
    first: Vec<Option<i32>>,
    last: Vec<Option<i32>>,
}

#[derive(Default)]
struct ReservationColumns<'a> {
    append: Vec<i32>,
    key: Vec<&'a [u8]>,
    request: Vec<&'a [u8]>,
    stream: Vec<Uuid>,
    version: Vec<i64>,
    expires: Vec<i64>,
}

#[derive(Default)]
struct PatientKeyColumns<'a> {
    append: Vec<i32>,
    tenant: Vec<Uuid>,
    patient: Vec<Uuid>,
    id: Vec<Uuid>,
    wrapped: Vec<&'a [u8]>,
}

#[derive(Default)]
struct EventColumns<'a> {
    append: Vec<i32>,
    tenant: Vec<Uuid>,
    stream_type: Vec<&'static str>,
    stream: Vec<Uuid>,
    version: Vec<i64>,
    id: Vec<Uuid>,
    event_type: Vec<&'static str>,
    schema: Vec<i32>,
    payload: Vec<&'a str>,
    sealed: Vec<&'a [u8]>,
    metadata: Vec<&'a str>,
    leaf: Vec<&'a [u8]>,
}

impl<'a> AppendArguments<'a> {
    pub(super) fn from_batch(batch: &AppendBatch<'a>) -> Result<Self, EngineError> {
        let mut arguments = Self::default();
        for (number, prepared) in (1..).zip(batch.appends.iter().copied()) {
            arguments.push(number, prepared)?;
        }
        Ok(arguments)
    }

    fn push(&mut self, number: i32, prepared: &'a PreparedAppend) -> Result<(), EngineError> {
        let append = &prepared.append;
        let before = self.events.append.len();
        let mut covered = 0;
        for check in &append.checks {
            covered += self.checks.push(
                number,
                check.stream_id,
                check.expected,
                &append.events,
                before,
            )?;
        }
        if covered != append.events.len() || prepared.leaves.len() != append.events.len() {
            return Err(error_class::unrepresentable(
                "event without exactly one expected version, or no leaf",
            ));
        }
        for claim in &append.claims {
            self.claims.push(number, claim);
        }
        for key in &append.patient_keys {
            self.keys.push(number, key);
        }
        for (event, leaf) in append.events.iter().zip(&prepared.leaves) {
            self.events.push(number, event, leaf);
        }
        Ok(())
    }

    /// Binds the arguments in the order of `queries/log_append.sql`.
    pub(super) fn bind(
        self,
        batch: &AppendBatch<'_>,
        outlook: Option<PredictedHead>,
        at_least: u64,
        capacity: u64,
    ) -> Statement<'a> {
        let now_ms = clock::now_ms();
        let linked = PrecomputedLinks::compute(batch, outlook, now_ms);
        let goes_on = self.checks.extends_existing_stream();
        let call = sqlx::query(include_str!("../queries/log_append.sql"))
            .bind(now_ms)
            .bind(batch.resend)
            .bind(i32::try_from(batch.appends.len()).unwrap_or(i32::MAX))
            .bind(to_bigint(at_least))
            .bind(to_bigint(capacity));
        self.events
            .bind(self.keys.bind(self.claims.bind(self.checks.bind(call))))
            .bind(to_bigint(linked.head.position))
            .bind(linked.head.hash.to_vec())
            .bind(linked.recorded_at_ms)
            .bind(linked.links)
            .bind(goes_on)
    }
}

impl CheckColumns {
    /// Adds an expected version. Returns the number of the append's events that are in the stream; `before` events
    /// precede them in the batch.
    fn push(
        &mut self,
        number: i32,
        stream: StreamId,
        expected: u64,
        events: &[NewEvent],
        before: usize,
    ) -> Result<usize, EngineError> {
        let mut first = None;
        let mut last = None;
        let mut version = expected;
        for (place, event) in (before + 1..)
            .zip(events)
            .filter(|pair| pair.1.stream_id == stream)
        {
            version += 1;
            if event.version != version {
                return Err(error_class::unrepresentable(
                    "stream versions are not consecutive",
                ));
            }
            first = first.or(Some((place, event)));
            last = Some(place);
        }
        let place = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
        self.append.push(number);
        self.stream.push(stream.as_uuid());
        self.stream_type
            .push(first.map(|(_, event)| event.stream_type));
        self.tenant
            .push(first.map(|(_, event)| event.tenant_id.as_uuid()));
        self.expected.push(to_bigint(expected));
        self.version.push(first.map(|_| to_bigint(version)));
        self.first.push(first.map(|(number, _)| place(number)));
        self.last.push(last.map(place));
        usize::try_from(version - expected)
            .map_err(|_| error_class::unrepresentable("too many events"))
    }

    /// Checks whether a stream that already has events gets more.
    fn extends_existing_stream(&self) -> bool {
        let written = self.first.iter().zip(&self.expected);
        written
            .into_iter()
            .any(|(first, expected)| first.is_some() && *expected > 0)
    }

    fn bind(self, call: Statement<'_>) -> Statement<'_> {
        call.bind(self.append)
            .bind(self.stream)
            .bind(self.stream_type)
            .bind(self.tenant)
            .bind(self.expected)
            .bind(self.version)
            .bind(self.first)
            .bind(self.last)
    }
}

impl<'a> ReservationColumns<'a> {
    fn push(&mut self, number: i32, claim: &'a Reservation) {
        self.append.push(number);
        self.key.push(&claim.key.0);
        self.request.push(&claim.held.request_hash);
        self.stream.push(claim.held.stream_id.as_uuid());
        self.version.push(to_bigint(claim.held.version));
        self.expires.push(claim.held.expires_at_ms);
    }

    fn bind(self, call: Statement<'a>) -> Statement<'a> {
        call.bind(self.append)
            .bind(self.key)
            .bind(self.request)
            .bind(self.stream)
            .bind(self.version)
            .bind(self.expires)
    }
}

impl<'a> PatientKeyColumns<'a> {
    fn push(&mut self, number: i32, key: &'a NewPatientKey) {
        self.append.push(number);
        self.tenant.push(key.tenant_id.as_uuid());
        self.patient.push(key.patient_id.as_uuid());
        self.id.push(key.wrapped.key_id);
        self.wrapped.push(&key.wrapped.wrapped);
    }

    fn bind(self, call: Statement<'a>) -> Statement<'a> {
        call.bind(self.append)
            .bind(self.tenant)
            .bind(self.patient)
            .bind(self.id)
            .bind(self.wrapped)
    }
}

impl<'a> EventColumns<'a> {
    fn push(&mut self, number: i32, event: &'a NewEvent, leaf: &'a [u8]) {
        self.append.push(number);
        self.tenant.push(event.tenant_id.as_uuid());
        self.stream_type.push(event.stream_type);
        self.stream.push(event.stream_id.as_uuid());
        self.version.push(to_bigint(event.version));
        self.id.push(event.event_id.as_uuid());
        self.event_type.push(event.event_type);
        self.schema
            .push(i32::try_from(event.schema_version).unwrap_or(i32::MAX));
        self.payload.push(&event.payload);
        self.sealed.push(&event.sealed);
        self.metadata.push(&event.metadata);
        self.leaf.push(leaf);
    }

    fn bind(self, call: Statement<'a>) -> Statement<'a> {
        call.bind(self.append)
            .bind(self.tenant)
            .bind(self.stream_type)
            .bind(self.stream)
            .bind(self.version)
            .bind(self.id)
            .bind(self.event_type)
            .bind(self.schema)
            .bind(self.payload)
            .bind(self.sealed)
            .bind(self.metadata)
            .bind(self.leaf)
    }
}
