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
        Error::Schema(why) => Problem::new(Code::Unacceptable, said).at("/schema", why),
        Error::DefaultText(why) => Problem::new(Code::Unacceptable, said).at("/default_text", why),
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
        Error::StructuredData(why) => {
            Problem::new(Code::Unacceptable, said).at("/structured_data", why)
        }
        Error::CommunicatedInFuture => {
            Problem::new(Code::Unacceptable, said.clone()).at("/communicated_at", said)
        }
    }
}
