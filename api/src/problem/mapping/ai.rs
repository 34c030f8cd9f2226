//! Mapping of the domain errors of AI models and AI tasks.

use roentgen_domain::{ai_model, ai_task};

use crate::problem::{Problem, ProblemCode};

pub(super) fn model(invalid: ai_model::Invalid) -> Problem {
    match invalid {
        ai_model::Invalid::UrlMissing => {
            Problem::new(ProblemCode::Unacceptable, invalid.to_string())
                .with_error("/endpoint_config/url", "is required")
        }
    }
}

pub(super) fn task(error: ai_task::Error) -> Problem {
    use ai_task::Error;
    let said = error.to_string();
    match error {
        Error::AlreadyExists => Problem::new(ProblemCode::AlreadyExists, said),
        Error::NotFound => Problem::not_found(),
        Error::Final { .. }
        | Error::InvalidTransition { .. }
        | Error::OutputsClosed { .. }
        | Error::TooManyAttempts => Problem::new(ProblemCode::TransitionRefused, said),
        Error::ErrorWithoutFailure => {
            Problem::new(ProblemCode::Unacceptable, said.clone()).with_error("/error_message", said)
        }
        Error::NotCapable => {
            Problem::new(ProblemCode::Unacceptable, said.clone()).with_error("/task_type", said)
        }
    }
}
