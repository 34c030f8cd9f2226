//! Policy that updates item and order when a study is linked to an order or unlinked, and when an order ends.

use async_trait::async_trait;
use roentgen_domain::ids::{OrderId, StreamId, StudyId, TenantId, WorklistItemId};
use roentgen_domain::order::{self, Order, Status, Update};
use roentgen_domain::pacs_endpoint::PacsEndpoint;
use roentgen_domain::study::{self, LinkKind, Study};
use roentgen_domain::worklist_item::{self, Command, WorklistItem};
use roentgen_domain::{Change, Timestamp, Versioned};
use roentgen_store::error::EventReadError;
use roentgen_store::policy_memory::MemoryKey;

use super::{Cause, Effect, Policy, PolicyMemory};
use crate::error::{CommandError, DomainError};
use crate::executor::UseCase;
use crate::unit_of_work::UnitOfWork;
use crate::worklist::assignment;
use crate::worklist::system_commands::{self, SystemItemCommand};

/// Memory topic of the linked studies of an order that can still be cancelled.
const STUDIES: &str = "order_studies";

/// Handles `ImagingStudy.Linked` and `.Unlinked`, `ImagingOrder.Cancelled` and `.Completed`.
#[derive(Debug)]
pub(super) struct UpdateLinkedOrders;

#[async_trait]
impl Policy for UpdateLinkedOrders {
    fn name(&self) -> &'static str {
        "ordered"
    }

    fn event_types(&self) -> &'static [&'static str] {
        &[
            "ImagingStudy.Linked",
            "ImagingStudy.Unlinked",
            "ImagingOrder.Cancelled",
            "ImagingOrder.Completed",
        ]
    }

    fn memory_keys(&self, cause: &Cause<'_>) -> Vec<MemoryKey> {
        match cause.event::<Study>() {
            Ok(Some(study::Event::Linked(linked))) => {
                vec![cause.memory(STUDIES, linked.imaging_order_id)]
            }
            Ok(Some(_)) | Err(_) => Vec::new(),
            // An event of an order: cancelled or completed.
            Ok(None) => vec![cause.memory(STUDIES, cause.event.stream_id)],
        }
    }

    fn react(
        &self,
        cause: &Cause<'_>,
        recall: &mut PolicyMemory,
    ) -> Result<Vec<Effect>, EventReadError> {
        match cause.event::<Study>()? {
            Some(study::Event::Linked(data)) => {
                return Ok(match data.link {
                    LinkKind::Linked => linked(cause, data.study_id, data.imaging_order_id, recall),
                    LinkKind::Conflict => vec![conflict(data.study_id)],
                });
            }
            Some(study::Event::Unlinked(unlinked)) => return Ok(vec![detach(unlinked)]),
            Some(
                study::Event::Available(_)
                | study::Event::Updated(_)
                | study::Event::SeriesAdded(_)
                | study::Event::InstancesAdded(_)
                | study::Event::Archived(_),
            )
            | None => {}
        }
        Ok(match cause.event::<Order>()? {
            Some(order::Event::Cancelled(data)) => cancelled(cause, data.order_id, recall),
            Some(order::Event::Completed(completed)) => {
                studies_of(cause, completed.order_id, recall);
                Vec::new()
            }
            Some(
                order::Event::Created(_)
                | order::Event::Scheduled(_)
                | order::Event::InProgress(_)
                | order::Event::DetailsUpdated(_),
            )
            | None => Vec::new(),
        })
    }
}

fn linked(
    cause: &Cause<'_>,
    study_id: StudyId,
    order_id: OrderId,
    recall: &mut PolicyMemory,
) -> Vec<Effect> {
    let key = cause.memory(STUDIES, order_id);
    if let Some(studies) = recall.change::<Vec<StudyId>>(&key)
        && !studies.contains(&study_id)
    {
        studies.push(study_id);
    }
    let attach = NotifyItem {
        study_id,
        order_id,
        news: OrderNews::Attached,
    };
    let complete = CompleteOrder {
        study_id,
        order_id,
        linked_at: cause.event.recorded_at(),
    };
    let item = WorklistItemId::derive(study_id);
    vec![
        Effect::new("attach_order", item, study_id, attach),
        Effect::new("complete_order", order_id, study_id, complete),
    ]
}

fn cancelled(cause: &Cause<'_>, order_id: OrderId, recall: &mut PolicyMemory) -> Vec<Effect> {
    let studies = studies_of(cause, order_id, recall).into_iter();
    let told = studies.map(|study_id| {
        let item = WorklistItemId::derive(study_id);
        let attach = NotifyItem {
            study_id,
            order_id,
            news: OrderNews::Attached,
        };
        Effect::new("attend", item, study_id, attach)
    });
    told.collect()
}

/// Returns the studies of an order that is final now, and deletes them from memory.
fn studies_of(cause: &Cause<'_>, order_id: OrderId, recall: &mut PolicyMemory) -> Vec<StudyId> {
    let key = cause.memory(STUDIES, order_id);
    let studies: Vec<StudyId> = recall.get(&key).cloned().unwrap_or_default();
    if !studies.is_empty() {
        recall.remove(&key);
    }
    studies
}

fn detach(unlinked: study::Unlinked) -> Effect {
    let study::Unlinked {
        study_id,
        imaging_order_id: order_id,
        ..
    } = unlinked;
    let item = WorklistItemId::derive(study_id);
    let detach = NotifyItem {
        study_id,
        order_id,
        news: OrderNews::Detached,
    };
    Effect::new("detach_order", item, study_id, detach)
}

fn conflict(study_id: StudyId) -> Effect {
    let mark = SystemItemCommand {
        study_id,
        command: Command::MarkConflict,
    };
    Effect::new("attend", WorklistItemId::derive(study_id), study_id, mark)
}

/// Command that attaches the study's order to the item, with priority and status, or detaches it. It changes nothing if
/// the link has changed again, because a later event covers the new link.
#[derive(Debug, Clone, Copy)]
struct NotifyItem {
    study_id: StudyId,
    order_id: OrderId,
    news: OrderNews,
}

#[derive(Debug, Clone, Copy)]
enum OrderNews {
    Attached,
    Detached,
}

impl UseCase for NotifyItem {
    type Aggregate = WorklistItem;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(WorklistItemId::derive(self.study_id).into())
    }

    async fn decide(
        &self,
        work: &mut UnitOfWork<'_>,
    ) -> Result<Versioned<WorklistItem>, CommandError> {
        let id = WorklistItemId::derive(self.study_id);
        let item = work.read::<WorklistItem>(id).await?;
        let item = item.ok_or_else(|| DomainError::from(worklist_item::Error::NotFound))?;
        let order = system_commands::linked_order(work, self.study_id).await?;
        let order = order.filter(|linked| linked.order_id == self.order_id);
        let command = match (self.news, order) {
            (OrderNews::Attached, Some(order)) => Command::AttachOrder(order),
            (OrderNews::Detached, None) => Command::DetachOrder(self.order_id),
            (OrderNews::Attached, None) | (OrderNews::Detached, Some(_)) => {
                return Ok((*item).clone());
            }
        };
        assignment::decide(work, id, command).await
    }
}

/// Command that completes the order of a study, if the order is open, the study is still linked to it, and the studies
/// of the PACS endpoint complete orders.
#[derive(Debug, Clone, Copy)]
struct CompleteOrder {
    study_id: StudyId,
    order_id: OrderId,
    linked_at: Timestamp,
}

impl UseCase for CompleteOrder {
    type Aggregate = Order;

    fn stream(&self, _tenant: TenantId) -> Option<StreamId> {
        Some(self.order_id.into())
    }

    async fn decide(&self, work: &mut UnitOfWork<'_>) -> Result<Versioned<Order>, CommandError> {
        let order = work.read::<Order>(self.order_id).await?;
        let order = order.ok_or_else(|| DomainError::from(order::Error::NotFound))?;
        let study = work.read::<Study>(self.study_id).await?;
        let study = study.ok_or_else(|| DomainError::from(study::Error::NotFound))?;
        let endpoint = study.state.details.pacs_endpoint_id;
        let endpoint = work.read::<PacsEndpoint>(endpoint).await?;
        let answers = study.state.linking.order() == Some(self.order_id);
        let completes = answers && endpoint.is_some_and(|endpoint| endpoint.state.completes_order);
        if !completes || order.state.progress.status().is_final() {
            return Ok((*order).clone());
        }
        let update = Update {
            status: Some(Status::Completed),
            performed_end_at: Change::Set(performed_end(
                &study.state,
                &order.state,
                self.linked_at,
            )),
            ..Update::default()
        };
        work.decide::<Order>(self.order_id, order::Command::Update(Box::new(update)))
            .await
    }
}

/// Returns the later of the study's end (or start) and the order's start, or the time of linking if none is known.
fn performed_end(study: &Study, order: &Order, linked_at: Timestamp) -> Timestamp {
    let of_study = study.details.ended_at.or(study.details.started_at);
    let of_order = order.progress.performed_start_at();
    of_study.max(of_order).unwrap_or(linked_at)
}
