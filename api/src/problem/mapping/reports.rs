//! Mapping of the domain errors of reports and report templates.

use roentgen_domain::{report, report_template};

use crate::problem::{Problem, ProblemCode};

pub(super) fn template(error: report_template::Error) -> Problem {
    use report_template::Error;
    let said = error.to_string();
    match error {
        Error::AlreadyExists => Problem::new(ProblemCode::AlreadyExists, said),
        Error::NotFound => Problem::not_found(),
        Error::SchemaMissing => {
            Problem::new(ProblemCode::Unacceptable, said).with_error("/schema", "is required")
        }
        Error::Schema(why) => {
            Problem::new(ProblemCode::Unacceptable, said).with_error("/schema", why)
        }
        Error::DefaultText(why) => {
            Problem::new(ProblemCode::Unacceptable, said).with_error("/default_text", why)
        }
    }
}

pub(super) fn report(error: report::Error) -> Problem {
    use report::Error;
    let said = error.to_string();
    match error {
        Error::AlreadyExists => Problem::new(ProblemCode::AlreadyExists, said),
        Error::NotFound => Problem::not_found(),
        Error::Refused { .. } | Error::Erased | Error::NotDue => {
            Problem::new(ProblemCode::TransitionRefused, said)
        }
        Error::ImpressionMissing => {
            Problem::new(ProblemCode::Unacceptable, said.clone()).with_error("/impression", said)
        }
        Error::NoSuchSection => {
            Problem::new(ProblemCode::Unacceptable, said.clone()).with_error("/sections", said)
        }
        Error::StructuredData(why) => {
            Problem::new(ProblemCode::Unacceptable, said).with_error("/structured_data", why)
        }
        Error::CommunicatedInFuture => Problem::new(ProblemCode::Unacceptable, said.clone())
            .with_error("/communicated_at", said),
    }
}
