//! `/events`.

mod beyond;
mod pagination;
mod phi;
mod sse;
mod long_poll;
