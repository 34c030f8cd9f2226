//! The rights of a PostgreSQL login, and objects in the schema `public` that do not belong to Roentgen.
//!
//! A function, operator or cast in `public` can be chosen instead of a built-in one of PostgreSQL, and then runs with
//! the rights of the calling role. Therefore the server must not be able to create one there, and none of another role
//! may exist there.

/// The login whose rights are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// The login that runs migrations.
    Owner,
    /// The login of the server.
    Server,
}

/// The rights of a login. On SQLite they are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    /// Role that logged in (`session_user`).
    pub login: String,
    /// Roles of this connection that may create objects in `public` and do not own the log.
    pub may_create: Vec<String>,
    /// Functions and operators in `public` of roles that are neither superuser nor owner.
    pub foreign: Vec<String>,
    /// Whether the login is a superuser.
    pub is_superuser: bool,
    /// Whether the login can act as the owner of the table `events`.
    pub owns_log: bool,
}

/// Why a connection is not safe to use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnsafeSchema {
    /// A role of the server may create objects in `public`, and could plant code there.
    #[error(
        "{0} may create objects in the schema public; run as a superuser or as the schema's owner: \
         REVOKE CREATE ON SCHEMA public FROM PUBLIC, {0}"
    )]
    MayCreate(String),
    /// Objects of other roles exist in `public`.
    #[error(
        "the schema public holds objects of other roles, which could run with the rights of Roentgen: {0}; drop them"
    )]
    Foreign(String),
}

impl Rights {
    /// Checks that this login is safe to use.
    ///
    /// # Errors
    ///
    /// [`UnsafeSchema`] with the first reason found and how to fix it.
    pub fn check(&self) -> Result<(), UnsafeSchema> {
        if !self.may_create.is_empty() {
            return Err(UnsafeSchema::MayCreate(self.may_create.join(", ")));
        }
        if !self.foreign.is_empty() {
            return Err(UnsafeSchema::Foreign(self.foreign.join(", ")));
        }
        Ok(())
    }
}
