//! Decisions of a task.

use super::{
    AiTask, Cancelled, Completed, Created, Error, Event, Failed, Lifecycle, MAX_ATTEMPTS,
    NewOutput, NewTask, OutputCreated, Started, Status, StatusChange, TaskSpec,
};
use crate::aggregate::Context;
use crate::ids::AiOutputId;
use crate::text::Text;

/// Error message if the worker gives none.
const NO_REASON: &str = "no reason given";

pub(super) fn create(new: NewTask, context: &Context) -> Result<Vec<Event>, Error> {
    if new.attempt > MAX_ATTEMPTS {
        return Err(Error::TooManyAttempts);
    }
    let request = TaskSpec {
        imaging_study_id: new.imaging_study_id,
        patient_id: new.patient_id,
        ai_model_id: new.ai_model_id,
        ai_model_code: new.ai_model_code,
        task_type: new.task_type,
        attempt: new.attempt,
        requested_at: context.now,
    };
    Ok(vec![Event::Created(Created {
        ai_task_id: request.task_id(),
        request,
    })])
}

pub(super) fn advance(
    task: &AiTask,
    to: StatusChange,
    context: &Context,
) -> Result<Vec<Event>, Error> {
    let from = task.progress.status();
    if to.error_message.is_some() && to.status != Status::Failed {
        return Err(Error::ErrorWithoutFailure);
    }
    if from == to.status && is_repeat(task, to.error_message.as_ref()) {
        return Ok(Vec::new());
    }
    if from.is_final() {
        return Err(Error::Final { status: from });
    }
    transition(task, to, context).map(|event| vec![event])
}

/// Returns whether a request repeats the current status. A repeated failure has the same error message or none.
fn is_repeat(task: &AiTask, told: Option<&Text>) -> bool {
    match (&task.progress, told) {
        (Lifecycle::Failed { error_message, .. }, Some(told)) => error_message == told,
        (_, None) => true,
        (
            Lifecycle::Queued
            | Lifecycle::Running { .. }
            | Lifecycle::Completed { .. }
            | Lifecycle::Cancelled { .. },
            Some(_),
        ) => false,
    }
}

fn transition(task: &AiTask, to: StatusChange, context: &Context) -> Result<Event, Error> {
    let ai_task_id = task.request.task_id();
    let request = &task.request;
    let imaging_study_id = request.imaging_study_id;
    let patient_id = request.patient_id;
    let task_type = request.task_type;
    let event = match to.status {
        Status::Queued => {
            let from = task.progress.status();
            return Err(Error::InvalidTransition {
                from,
                to: Status::Queued,
            });
        }
        Status::Running => Event::Started(Started {
            ai_task_id,
            imaging_study_id,
            patient_id,
            task_type,
            started_at: context.now,
        }),
        Status::Completed => Event::Completed(Completed {
            ai_task_id,
            imaging_study_id,
            patient_id,
            task_type,
            completed_at: context.now,
        }),
        Status::Failed => Event::Failed(Failed {
            ai_task_id,
            imaging_study_id,
            patient_id,
            task_type,
            error: failure_reason(to.error_message),
            completed_at: context.now,
        }),
        Status::Cancelled => Event::Cancelled(Cancelled {
            ai_task_id,
            imaging_study_id,
            patient_id,
            task_type,
        }),
    };
    Ok(event)
}

fn failure_reason(told: Option<Text>) -> Text {
    told.unwrap_or_else(|| Text::from_static(NO_REASON))
}

pub(super) fn add_output(
    task: &AiTask,
    new: NewOutput,
    context: &Context,
) -> Result<Vec<Event>, Error> {
    let status = task.progress.status();
    match status {
        Status::Failed | Status::Cancelled => return Err(Error::OutputsClosed { status }),
        Status::Queued | Status::Running | Status::Completed => {}
    }
    let output_type = new.payload.output_type();
    let (open, phi) = new.payload.into_parts();
    let request = &task.request;
    Ok(vec![Event::OutputCreated(Box::new(OutputCreated {
        output_id: AiOutputId::from(context.fresh_id),
        ai_task_id: request.task_id(),
        imaging_study_id: request.imaging_study_id,
        patient_id: request.patient_id,
        ai_model_id: request.ai_model_id,
        ai_model_code: request.ai_model_code.clone(),
        task_type: request.task_type,
        output_type,
        payload: open,
        phi,
    }))])
}
