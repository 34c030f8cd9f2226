//! The abuse ring: one caller does its worst, and the others are served as before. Table-driven, on both engines.

mod requests;
mod rows;
mod other_type;
mod lost_keys;
mod restored;
mod connections;
mod frames;
mod raw;
mod stalled;
mod token_end;
