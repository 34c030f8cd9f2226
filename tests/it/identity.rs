//! Who calls: tokens, roles, and the admin of `--dev`.

mod dev;
mod roles;
mod tokens;
