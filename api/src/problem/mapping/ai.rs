//! What AI models and tasks refuse.

use roentgen_domain::{ai_model, ai_task};

use crate::problem::{Code, Problem};

pub(super) fn model(error: ai_model::Error) -> Problem {
    use ai_model::Error;
    match error {
        Error::AlreadyExists => Problem::new(Code::AlreadyExists, error.to_string()),
        Error::NotFound => Problem::not_found(),
        Error::UrlMissing => Problem::new(Code::Unacceptable, error.to_string())
            .at("/endpoint_config/url", "is required"),
    }
}

pub(super) fn task(error: ai_task::Error) -> Problem {
    use ai_task::Error;
    let said = error.to_string();
    match error {
        Error::AlreadyExists => Problem::new(Code::AlreadyExists, said),
        Error::NotFound => Problem::not_found(),
        Error::Final { .. }
        | Error::Backwards { .. }
        | Error::OutputRefused { .. }
        | Error::TooManyAttempts => Problem::new(Code::TransitionRefused, said),
        Error::ErrorWithoutFailure => {
            Problem::new(Code::Unacceptable, said.clone()).at("/error_message", said)
        }
        Error::NotCapable => Problem::new(Code::Unacceptable, said.clone()).at("/task_type", said),
    }
}
