//! What a login of PostgreSQL may do, and what the schema `public` holds that is not Roentgen's.
//!
//! A function, operator or cast in `public` can be chosen in place of one of PostgreSQL's own, and then runs with the
//! rights of the role that asked. The server therefore must not be able to create one there, and none may be there that
//! belongs to another role.

/// Which of the two logins is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// The login that runs migrations.
    Owner,
    /// The login that serves.
    Server,
}

/// The rights of a login. SQLite has none of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    /// The role that logged in (`session_user`).
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

/// Why a connection is not safe to work on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnsafeSchema {
    /// The server could plant code.
    #[error(
        "{0} may create objects in the schema public; run as a superuser or as the schema's owner: \
         REVOKE CREATE ON SCHEMA public FROM PUBLIC, {0}"
    )]
    MayCreate(String),
    /// Somebody else's code is there.
    #[error(
        "the schema public holds objects of other roles, which could run with the rights of Roentgen: {0}; drop them"
    )]
    Foreign(String),
}

impl Rights {
    /// Whether this login can work here.
    ///
    /// # Errors
    ///
    /// [`UnsafeSchema`] names the first reason against it, and what to do.
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
