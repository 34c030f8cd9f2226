use super::*;
use crate::given_when_then::{Given, context, given};
use serde_json::json;
use uuid::Uuid;

mod outputs;

fn new_task(attempt: u32) -> NewTask {
    NewTask {
        imaging_study_id: Uuid::from_u128(21).into(),
        patient_id: Uuid::from_u128(7).into(),
        ai_model_id: Uuid::from_u128(22).into(),
        ai_model_code: AiModelCode::parse("ICH_TRIAGE").unwrap(),
        task_type: TaskType::Triage,
        attempt,
    }
}

fn create(attempt: u32) -> Command {
    Command::Create(Box::new(new_task(attempt)))
}

fn request() -> TaskSpec {
    let new = new_task(1);
    TaskSpec {
        imaging_study_id: new.imaging_study_id,
        patient_id: new.patient_id,
        ai_model_id: new.ai_model_id,
        ai_model_code: new.ai_model_code,
        task_type: new.task_type,
        attempt: 1,
        requested_at: context().now,
    }
}

fn created() -> Event {
    Event::Created(Created {
        ai_task_id: request().task_id(),
        request: request(),
    })
}

fn started() -> Event {
    let spec = request();
    Event::Started(Started {
        ai_task_id: spec.task_id(),
        imaging_study_id: spec.imaging_study_id,
        patient_id: spec.patient_id,
        task_type: spec.task_type,
        started_at: context().now,
    })
}

fn completed() -> Event {
    let spec = request();
    Event::Completed(Completed {
        ai_task_id: spec.task_id(),
        imaging_study_id: spec.imaging_study_id,
        patient_id: spec.patient_id,
        task_type: spec.task_type,
        completed_at: context().now,
    })
}

fn failed(error: &str) -> Event {
    let spec = request();
    Event::Failed(Failed {
        ai_task_id: spec.task_id(),
        imaging_study_id: spec.imaging_study_id,
        patient_id: spec.patient_id,
        task_type: spec.task_type,
        error: Text::parse(error).unwrap(),
        completed_at: context().now,
    })
}

fn cancelled() -> Event {
    let spec = request();
    Event::Cancelled(Cancelled {
        ai_task_id: spec.task_id(),
        imaging_study_id: spec.imaging_study_id,
        patient_id: spec.patient_id,
        task_type: spec.task_type,
    })
}

fn a_task(status: Status) -> Given<AiTask> {
    given(match status {
        Status::Queued => vec![created()],
        Status::Running => vec![created(), started()],
        Status::Completed => vec![created(), completed()],
        Status::Failed => vec![created(), failed("out of memory")],
        Status::Cancelled => vec![created(), cancelled()],
    })
}

fn to(status: Status) -> Command {
    Command::ChangeStatus(StatusChange {
        status,
        error_message: None,
    })
}

fn fail(error: &str) -> Command {
    Command::ChangeStatus(StatusChange {
        status: Status::Failed,
        error_message: Text::parse(error).ok(),
    })
}

#[test]
fn an_attempt_is_made_once() {
    given::<AiTask>([]).when(create(1)).then([created()]);
    a_task(Status::Failed)
        .when(create(1))
        .refused(Error::AlreadyExists);
    given::<AiTask>([])
        .when(to(Status::Running))
        .refused(Error::NotFound);
}

#[test]
fn attempts_have_an_end() {
    given::<AiTask>([])
        .when(create(MAX_ATTEMPTS + 1))
        .refused(Error::TooManyAttempts);
}

#[test]
fn its_id_follows_from_study_model_type_and_attempt() {
    let first = request();
    let again = TaskSpec {
        attempt: 2,
        ..request()
    };
    let quality = TaskSpec {
        task_type: TaskType::Quality,
        ..request()
    };
    assert_ne!(first.task_id(), again.task_id());
    assert_ne!(first.task_id(), quality.task_id());
    assert_eq!(
        first.task_id(),
        task_id(
            first.imaging_study_id,
            first.ai_model_id,
            TaskType::Triage,
            1
        )
    );
}

/// Every current status with every requested status: the complete table of section 3 of the contract.
#[test]
fn moves_forward_only_and_never_out_of_a_final_status() {
    for from in Status::ALL.iter().copied() {
        for target in Status::ALL.iter().copied() {
            let when = a_task(from).when(to(target));
            if from == target {
                when.then([]);
            } else if from.is_final() {
                when.refused(Error::Final { status: from });
            } else {
                match target {
                    Status::Queued => when.refused(Error::InvalidTransition { from, to: target }),
                    Status::Running => when.then([started()]),
                    Status::Completed => when.then([completed()]),
                    Status::Failed => when.then([failed("no reason given")]),
                    Status::Cancelled => when.then([cancelled()]),
                }
            }
        }
    }
}

#[test]
fn only_a_failed_or_cancelled_task_may_be_tried_again() {
    let again: Vec<Status> = Status::ALL
        .iter()
        .copied()
        .filter(|status| a_task(*status).state().is_retryable())
        .collect();
    assert_eq!(again, [Status::Failed, Status::Cancelled]);
}

#[test]
fn a_failure_may_be_told_again_but_not_for_another_reason() {
    a_task(Status::Running)
        .when(fail("no GPU"))
        .then([failed("no GPU")]);
    a_task(Status::Failed).when(fail("out of memory")).then([]);
    a_task(Status::Failed)
        .when(fail("no GPU"))
        .refused(Error::Final {
            status: Status::Failed,
        });
}

#[test]
fn an_error_goes_with_a_failure() {
    for status in [
        Status::Queued,
        Status::Running,
        Status::Completed,
        Status::Cancelled,
    ] {
        let told = Command::ChangeStatus(StatusChange {
            status,
            error_message: Text::parse("no GPU").ok(),
        });
        a_task(Status::Queued)
            .when(told)
            .refused(Error::ErrorWithoutFailure);
    }
}

#[test]
fn keeps_its_times() {
    let run = given::<AiTask>([created(), started(), completed()]).state();
    assert_eq!(
        run.progress,
        Lifecycle::Completed {
            started_at: Some(context().now),
            completed_at: context().now
        }
    );
    assert_eq!(
        a_task(Status::Completed).state().progress.started_at(),
        None
    );
}

#[test]
fn a_state_survives_the_trip_through_its_document() {
    for status in Status::ALL.iter().copied() {
        let state = a_task(status).state();
        let document = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<AiTask>(&document).unwrap(), state);
    }
}
