//! `/events`.

mod beyond;
mod long_poll;
mod pagination;
mod phi;
mod sse;
