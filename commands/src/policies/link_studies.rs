//! Policy that links studies and orders by accession number, in whichever order they arrive.

use async_trait::async_trait;
use roentgen_domain::dicom::AccessionNumber;
use roentgen_domain::ids::{OrderId, StreamId, StudyId, TenantId};
use roentgen_domain::order::Order;
use roentgen_domain::study::{self, Command, OrderLink, Study};
use roentgen_domain::{Aggregate as _, Versioned};
use roentgen_store::error::EventReadError;
use roentgen_store::policy_memory::MemoryKey;

use super::{Cause, Effect, Policy, PolicyMemory};
use crate::error::{CommandError, DomainError};
use crate::executor::UseCase;
use crate::unit_of_work::UnitOfWork;

/// Memory topic of the studies that wait for an order, keyed by the id that the order will have.
const WAITING: &str = "waiting_studies";
/// Maximum number of studies that wait for one order. An accession number with more studies is a placeholder.
const MAX_WAITING_STUDIES: usize = 200;

/// Links study and order on `ImagingStudy.Available`, `.Updated` and `ImagingOrder.Created`, once both exist.
#[derive(Debug)]
pub(super) struct LinkStudies;

/// Content of an event that matters for linking.
enum LinkSignal {
    Waits(StudyId, OrderId),
    Linked(StudyId, OrderId),
    Ordered(OrderId),
}

#[async_trait]
impl Policy for LinkStudies {
    fn name(&self) -> &'static str {
        "linking"
    }

    fn event_types(&self) -> &'static [&'static str] {
        &[
            "ImagingStudy.Available",
            "ImagingStudy.Updated",
            "ImagingStudy.Linked",
            "ImagingOrder.Created",
        ]
    }

    fn memory_keys(&self, cause: &Cause<'_>) -> Vec<MemoryKey> {
        let Ok(Some(told)) = link_signal(cause) else {
            return Vec::new();
        };
        vec![cause.memory(WAITING, told.order())]
    }

    fn react(
        &self,
        cause: &Cause<'_>,
        recall: &mut PolicyMemory,
    ) -> Result<Vec<Effect>, EventReadError> {
        let Some(told) = link_signal(cause)? else {
            return Ok(Vec::new());
        };
        let order_id = told.order();
        let key = cause.memory(WAITING, order_id);
        let before: Vec<StudyId> = recall.get(&key).cloned().unwrap_or_default();
        let mut waiting = before.clone();
        let linked = match told {
            LinkSignal::Waits(study, _) => {
                if !waiting.contains(&study) && waiting.len() < MAX_WAITING_STUDIES {
                    waiting.push(study);
                }
                vec![study]
            }
            LinkSignal::Linked(study, _) => {
                waiting.retain(|id| *id != study);
                Vec::new()
            }
            LinkSignal::Ordered(_) => std::mem::take(&mut waiting),
        };
        match waiting.is_empty() {
            true if before.is_empty() => {}
            true => recall.remove(&key),
            false => recall.set(&key, waiting),
        }
        let links = linked.into_iter().map(|study_id| {
            let link = LinkStudy { study_id, order_id };
            Effect::new("link", study_id, study_id, link)
        });
        Ok(links.collect())
    }
}

impl LinkSignal {
    const fn order(&self) -> OrderId {
        match self {
            Self::Waits(_, order) | Self::Linked(_, order) | Self::Ordered(order) => *order,
        }
    }
}

/// Returns the signal of an event. Order events are not decoded, because only the order's id matters and they are
/// frequent.
fn link_signal(cause: &Cause<'_>) -> Result<Option<LinkSignal>, EventReadError> {
    if *cause.event.stream_type == *Order::STREAM_TYPE {
        return Ok(Some(LinkSignal::Ordered(cause.event.stream_id.into())));
    }
    let waits = |study, accession: Option<&AccessionNumber>| {
        let order = OrderId::derive(cause.event.tenant_id, accession?);
        Some(LinkSignal::Waits(study, order))
    };
    Ok(match cause.event::<Study>()? {
        Some(study::Event::Available(available)) => waits(
            available.study_id,
            available.details.accession_number.as_ref(),
        ),
        Some(study::Event::Updated(updated)) => {
            waits(updated.study_id, updated.accession_number.as_ref())
        }
        Some(study::Event::Linked(linked)) => {
            Some(LinkSignal::Linked(linked.study_id, linked.imaging_order_id))
        }
        Some(
            study::Event::Unlinked(_)
            | study::Event::SeriesAdded(_)
            | study::Event::InstancesAdded(_)
            | study::Event::Archived(_),
        )
        | None => None,
    })
}

/// Command that links a study with an order, if the order exists and the study still has its accession number.
#[derive(Debug, Clone, Copy)]
struct LinkStudy {
    study_id: StudyId,
    order_id: OrderId,
}

impl UseCase for LinkStudy {
    type Aggregate = Study;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.study_id.into())
    }

    async fn decide(&self, work: &mut UnitOfWork<'_>) -> Result<Versioned<Study>, CommandError> {
        let study = work.read::<Study>(self.study_id).await?;
        let study = study.ok_or_else(|| DomainError::from(study::Error::NotFound))?;
        let tenant = work.context().tenant_id;
        let named = study.state.details.accession_number.as_ref();
        let names_it = named.is_some_and(|number| OrderId::derive(tenant, number) == self.order_id);
        let is_linked = matches!(study.state.linking, OrderLink::Linked { .. });
        if is_linked || !names_it {
            return Ok((*study).clone());
        }
        let Some(order) = work.read::<Order>(self.order_id).await? else {
            return Ok((*study).clone());
        };
        let order_id = self.order_id;
        let command = if order.state.patient_id == study.state.patient_id {
            Command::Link { order_id }
        } else {
            Command::MarkConflict { order_id }
        };
        work.decide::<Study>(self.study_id, command).await
    }
}
