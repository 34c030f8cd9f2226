//! Content that an attempt adds to its append: events, with encrypted PHI, and new patient keys.

use std::time::Instant;

use roentgen_domain::growth::Size;
use roentgen_domain::ids::{PatientId, StreamId};
use roentgen_domain::{Aggregate, DomainEvent};
use roentgen_store::StoreError;
use roentgen_store::codec::{self, EventAddress};
use roentgen_store::keys::{KeyLookup, PatientKey, WriteKey};

use super::UnitOfWork;
use crate::error::CommandError;

/// Event that was added to the append.
pub(super) struct AddedEvent {
    pub(super) size: Size,
    /// Time at which the key that encrypted it was last requested from the database.
    pub(super) key_seen: Option<Instant>,
}

impl UnitOfWork<'_> {
    /// Adds an event to the append.
    pub(super) async fn add<A: Aggregate>(
        &mut self,
        event: &A::Event,
        stream_id: StreamId,
        version: u64,
    ) -> Result<AddedEvent, CommandError> {
        let key = match (event.phi().map_err(StoreError::from)?, event.patient_id()) {
            (Some(_), Some(patient)) => Some(self.writing_key(patient).await?),
            (Some(_), None) | (None, _) => None,
        };
        let place = EventAddress {
            tenant_id: self.context.tenant_id,
            stream_id,
            version,
        };
        let new = codec::encode::<A>(event, place, self.metadata.clone(), key.as_ref())
            .map_err(StoreError::from)?;
        let size = Size::measure(&new.payload, &new.sealed);
        self.append.events.push(new);
        Ok(AddedEvent {
            size,
            key_seen: key.map(|key| key.seen()),
        })
    }

    async fn writing_key(&mut self, patient: PatientId) -> Result<PatientKey, StoreError> {
        if let Some((_, key)) = self.new_keys.iter().find(|(id, _)| *id == patient) {
            return Ok(key.clone());
        }
        let tenant = self.context.tenant_id;
        let finding = if self.trusts_guesses {
            KeyLookup::Optimistic
        } else {
            KeyLookup::Verified
        };
        let keyring = &self.store.keyring;
        let WriteKey { key, new } = keyring.key_for_write(tenant, patient, finding).await?;
        if let Some(new) = new {
            self.append.patient_keys.push(new);
            self.new_keys.push((patient, key.clone()));
        }
        Ok(key)
    }
}
