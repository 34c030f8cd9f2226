//! The abuse ring: one caller does its worst, and the others are served as before. Table-driven, on both engines.

mod fairness;
mod scope;
mod searches;
