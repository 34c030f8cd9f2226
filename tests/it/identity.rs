//! Callers: tokens, roles, and the admin of `--dev`.

mod dev_mode;
mod roles;
mod tokens;
