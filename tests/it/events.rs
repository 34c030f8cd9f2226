//! `/events`.

mod beyond;
mod paged;
mod phi;
mod streamed;
mod waiting;
