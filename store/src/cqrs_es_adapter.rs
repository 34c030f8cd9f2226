//! Adapter that exposes the aggregates and the log to programs written for [`cqrs_es`].
//!
//! [`CqrsEsAggregate`] wraps a pure aggregate as a `cqrs_es::Aggregate`, and [`CqrsEsStore`] wraps the log as a
//! `cqrs_es::EventStore`, so that `CqrsFramework` and `TestFramework` run on them. Queries and snapshots of `cqrs_es`
//! are not used. Queries are lost in a crash after the commit. Snapshots apply events twice: `EventSink::write` has
//! already applied the events that a snapshotting `commit` applies.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use cqrs_es::event_sink::EventSink;
use cqrs_es::{AggregateContext, AggregateError, EventEnvelope, EventStore};
use roentgen_domain::ids::{StreamId, TenantId};
use roentgen_domain::{Actor, Aggregate, Context, DomainEvent, EventMetadata};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use tokio::time::Instant;
use uuid::Uuid;

use crate::clock;
use crate::codec::{self, EventAddress};
use crate::database::Store;
use crate::error::StoreError;
use crate::fair::ShareOwner;
use crate::keys::{KeyLookup, PatientKeys};
use crate::log::{Append, ExpectedVersion, StoredEvent};
use crate::reads::Reads;

/// Deadline of a commit.
const DEADLINE: Duration = Duration::from_secs(2);
const PAGE: u32 = 500;

/// A domain aggregate as a `cqrs-es` aggregate; `None` before its first event.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct CqrsEsAggregate<A: Aggregate>(pub Option<A>);

impl<A: Aggregate> Default for CqrsEsAggregate<A> {
    fn default() -> Self {
        Self(None)
    }
}

/// A domain event as a `cqrs-es` event. It is serialised without its PHI, which only the log seals.
#[derive(Clone, PartialEq)]
pub struct CqrsEsEvent<E>(pub E);

impl<E: DomainEvent> fmt::Debug for CqrsEsEvent<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    #[serde(rename = "type")]
    event_type: std::borrow::Cow<'a, str>,
    schema_version: u32,
    data: Box<RawValue>,
}

impl<E: DomainEvent> Serialize for CqrsEsEvent<E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error as _;
        let payload = self.0.payload().map_err(S::Error::custom)?;
        let wire = Wire {
            event_type: self.0.event_type().into(),
            schema_version: self.0.schema_version(),
            data: RawValue::from_string(payload).map_err(S::Error::custom)?,
        };
        wire.serialize(serializer)
    }
}

impl<'de, E: DomainEvent> Deserialize<'de> for CqrsEsEvent<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        let payload = wire.data.get().as_bytes();
        let event = E::decode(&wire.event_type, wire.schema_version, payload, None);
        event.map(Self).map_err(D::Error::custom)
    }
}

impl<E: DomainEvent> cqrs_es::DomainEvent for CqrsEsEvent<E> {
    fn event_type(&self) -> String {
        self.0.event_type().to_owned()
    }

    fn event_version(&self) -> String {
        self.0.schema_version().to_string()
    }
}

/// Creates the context of a decision, once for each command.
pub struct Services(pub Box<dyn Fn() -> Context + Send + Sync>);

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Services")
    }
}

impl<A: Aggregate> cqrs_es::Aggregate for CqrsEsAggregate<A> {
    const TYPE: &'static str = A::STREAM_TYPE;

    type Command = A::Command;
    type Event = CqrsEsEvent<A::Event>;
    type Error = A::Error;
    type Services = Services;

    async fn handle(
        &mut self,
        command: A::Command,
        services: &Services,
        sink: &EventSink<Self>,
    ) -> Result<(), A::Error> {
        let events = A::decide(self.0.as_ref(), command, &(services.0)())?;
        for event in events {
            sink.write(CqrsEsEvent(event), self).await;
        }
        Ok(())
    }

    /// Leaves the state unchanged if the event is not valid in it. `cqrs-es` cannot return this error here; loading
    /// from the log returns it.
    fn apply(&mut self, event: CqrsEsEvent<A::Event>) {
        match A::evolve(self.0.clone(), event.0) {
            Ok(next) => self.0 = Some(next),
            Err(misplaced) => {
                tracing::error!(
                    event = "cqrs_es.event_skipped",
                    %misplaced,
                    "event not valid in this state; skipped",
                )
            }
        }
    }
}

/// The log as a `cqrs-es` event store, for one tenant and one actor.
#[derive(Debug)]
pub struct CqrsEsStore<A> {
    store: Store,
    tenant_id: TenantId,
    actor: Actor,
    aggregate: PhantomData<fn() -> A>,
}

impl<A> CqrsEsStore<A> {
    /// Creates an event store for one tenant and one actor.
    pub const fn new(store: Store, tenant_id: TenantId, actor: Actor) -> Self {
        Self {
            store,
            tenant_id,
            actor,
            aggregate: PhantomData,
        }
    }
}

/// A loaded aggregate and its version.
#[derive(Debug)]
pub struct CqrsEsContext<A: Aggregate> {
    stream_id: StreamId,
    version: u64,
    aggregate: CqrsEsAggregate<A>,
}

impl<A: Aggregate> AggregateContext<CqrsEsAggregate<A>> for CqrsEsContext<A> {
    fn aggregate(&mut self) -> &mut CqrsEsAggregate<A> {
        &mut self.aggregate
    }
}

type CqrsEsError<A> = AggregateError<<A as Aggregate>::Error>;

impl<A: Aggregate> EventStore<CqrsEsAggregate<A>> for CqrsEsStore<A> {
    type AC = CqrsEsContext<A>;

    async fn load_events(
        &self,
        id: &str,
    ) -> Result<Vec<EventEnvelope<CqrsEsAggregate<A>>>, CqrsEsError<A>> {
        let (_, stored) = self.stream::<A::Error>(id).await?;
        let keys = self.keys(&stored).await.map_err(failed)?;
        stored
            .iter()
            .map(|event| envelope::<A>(event, keys.as_ref()))
            .collect()
    }

    async fn load_aggregate(&self, id: &str) -> Result<CqrsEsContext<A>, CqrsEsError<A>> {
        let (stream_id, stored) = self.stream::<A::Error>(id).await?;
        let version = stored.last().map_or(0, |event| event.version);
        let folded = codec::fold::<A>(None, &stored, Some(&self.store.keyring))
            .await
            .map_err(failed)?;
        Ok(CqrsEsContext {
            stream_id,
            version,
            aggregate: CqrsEsAggregate(folded.resource.map(|resource| resource.state)),
        })
    }

    async fn commit(
        &self,
        events: Vec<CqrsEsEvent<A::Event>>,
        context: CqrsEsContext<A>,
        metadata: HashMap<String, String>,
    ) -> Result<Vec<EventEnvelope<CqrsEsAggregate<A>>>, CqrsEsError<A>> {
        let append = self.append(&events, &context).await.map_err(failed)?;
        let deadline = Instant::now() + DEADLINE;
        self.store
            .appender
            .append(ShareOwner::Tenant(self.tenant_id), append, deadline)
            .await
            .map_err(failed)?;
        let envelope = |(n, event)| EventEnvelope {
            aggregate_id: context.stream_id.to_string(),
            sequence: sequence(context.version) + n + 1,
            payload: event,
            metadata: metadata.clone(),
        };
        Ok(events.into_iter().enumerate().map(envelope).collect())
    }
}

impl<A: Aggregate> CqrsEsStore<A> {
    async fn stream<E: std::error::Error>(
        &self,
        id: &str,
    ) -> Result<(StreamId, Vec<StoredEvent>), AggregateError<E>> {
        let id =
            Uuid::parse_str(id).map_err(|error| AggregateError::UnexpectedError(error.into()))?;
        let stream_id = StreamId::from(id);
        let mut stored: Vec<StoredEvent> = Vec::new();
        loop {
            let after = stored.last().map_or(0, |event| event.version);
            let reads = Reads::of_tenant(&self.store, self.tenant_id);
            let page = reads.stream(stream_id, after, PAGE).await;
            let page = page.map_err(failed)?;
            let whole = page.len() < PAGE as usize;
            stored.extend(page);
            if whole {
                return Ok((stream_id, stored));
            }
        }
    }

    async fn keys(&self, stored: &[StoredEvent]) -> Result<Option<PatientKeys>, StoreError> {
        match codec::patient_of::<A>(stored) {
            Some((tenant, patient)) => Ok(Some(self.store.keyring.keys(tenant, patient).await?)),
            None => Ok(None),
        }
    }

    async fn append(
        &self,
        events: &[CqrsEsEvent<A::Event>],
        context: &CqrsEsContext<A>,
    ) -> Result<Append, StoreError> {
        let CqrsEsContext {
            stream_id, version, ..
        } = *context;
        let metadata = EventMetadata {
            actor: self.actor.clone(),
            correlation_id: clock::fresh_id().into(),
            causation_id: None,
        };
        let metadata = metadata.to_json()?;
        let mut append = Append::default();
        append.checks.push(ExpectedVersion {
            stream_id,
            expected: version,
        });
        let mut key = None;
        for (CqrsEsEvent(event), n) in events.iter().zip(1..) {
            if let (None, Some(patient), Some(_)) = (&key, event.patient_id(), event.phi()?) {
                let writing = self
                    .store
                    .keyring
                    .key_for_write(self.tenant_id, patient, KeyLookup::Verified)
                    .await?;
                append.patient_keys.extend(writing.new);
                key = Some(writing.key);
            }
            let place = EventAddress {
                tenant_id: self.tenant_id,
                stream_id,
                version: version + n,
            };
            append.events.push(codec::encode::<A>(
                event,
                place,
                metadata.clone(),
                key.as_ref(),
            )?);
        }
        Ok(append)
    }
}

fn envelope<A: Aggregate>(
    event: &StoredEvent,
    keys: Option<&PatientKeys>,
) -> Result<EventEnvelope<CqrsEsAggregate<A>>, CqrsEsError<A>> {
    let payload = codec::decode::<A>(event, keys)
        .map_err(|error| AggregateError::DeserializationError(error.into()))?;
    Ok(EventEnvelope {
        aggregate_id: event.stream_id.to_string(),
        sequence: sequence(event.version),
        payload: CqrsEsEvent(payload),
        metadata: HashMap::from([("metadata".to_owned(), event.metadata.clone())]),
    })
}

fn sequence(version: u64) -> usize {
    usize::try_from(version).unwrap_or(usize::MAX)
}

fn failed<E: std::error::Error>(error: StoreError) -> AggregateError<E> {
    match error {
        StoreError::Conflict { .. } | StoreError::PatientKeyExists => {
            AggregateError::AggregateConflict
        }
        StoreError::Unreadable { .. } => AggregateError::DeserializationError(error.into()),
        StoreError::Engine(_) | StoreError::Unavailable(_) | StoreError::OutcomeUnknown => {
            AggregateError::DatabaseConnectionError(error.into())
        }
        StoreError::KeyTaken(_)
        | StoreError::EventTooLarge { .. }
        | StoreError::Unwritable(_)
        | StoreError::Keys(_) => AggregateError::UnexpectedError(error.into()),
    }
}
