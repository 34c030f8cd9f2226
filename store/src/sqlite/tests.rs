//! The engine on SQLite, by itself.
