//! What reports and their templates refuse.

use roentgen_domain::{report, report_template};

use crate::problem::{Code, Problem};

pub(super) fn template(error: report_template::Error) -> Problem {
    use report_template::Error;
    let said = error.to_string();
    match error {
        Error::AlreadyExists => Problem::new(Code::AlreadyExists, said),
        Error::NotFound => Problem::not_found(),
        Error::SchemaMissing => Problem::new(Code::Unacceptable, said).at("/schema", "is required"),
    }
}

pub(super) fn report(error: report::Error) -> Problem {
    use report::Error;
    let said = error.to_string();
    match error {
        Error::AlreadyExists => Problem::new(Code::AlreadyExists, said),
        Error::NotFound => Problem::not_found(),
        Error::Refused { .. } | Error::Erased | Error::NotDue => {
            Problem::new(Code::TransitionRefused, said)
        }
        Error::ImpressionMissing => {
            Problem::new(Code::Unacceptable, said.clone()).at("/impression", said)
        }
        Error::NoSuchSection => {
            Problem::new(Code::Unacceptable, said.clone()).at("/sections", said)
        }
        Error::CommunicatedInFuture => {
            Problem::new(Code::Unacceptable, said.clone()).at("/communicated_at", said)
        }
    }
}
