//! The whole way from order to report over HTTP, with all that follows from events.

pub(crate) mod hospital;
mod ordering;
mod reading;
mod source;
pub(crate) mod whole;
