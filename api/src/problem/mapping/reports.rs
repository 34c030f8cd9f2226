//! Mapping of the domain errors of reports and report templates.

use roentgen_domain::{report, report_template};

use crate::problem::{Problem, ProblemCode};

pub(super) fn template(invalid: report_template::Invalid) -> Problem {
    use report_template::Invalid;
    let problem = Problem::new(ProblemCode::Unacceptable, invalid.to_string());
    match invalid {
        Invalid::SchemaMissing => problem.with_error("/schema", "is required"),
        Invalid::Schema(reason) => problem.with_error("/schema", reason),
        Invalid::DefaultText(reason) => problem.with_error("/default_text", reason),
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
