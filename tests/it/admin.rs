//! `/admin`.

mod projections;
