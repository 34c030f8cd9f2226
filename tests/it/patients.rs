//! `/patients`.

mod timeline;
