//! `/events`.

mod paged;
mod phi;
mod streamed;
mod waiting;
