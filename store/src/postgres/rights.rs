//! Reads the rights of the two logins from the system catalogs.

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::{Postgres, error_class};
use crate::error::EngineError;
use crate::rights::{Login, Rights};

const RIGHTS: &str = include_str!("queries/rights_select.sql");

impl Postgres {
    pub(super) async fn rights_of(&self, login: Login) -> Result<Rights, EngineError> {
        let row = match login {
            Login::Server => {
                let mut connection = self.reader().await?;
                sqlx::query(RIGHTS).fetch_one(&mut *connection).await
            }
            Login::Owner => {
                let owner = self.connector.migration_pool();
                let row = sqlx::query(RIGHTS).fetch_one(&owner).await;
                owner.close().await;
                row
            }
        };
        row.and_then(|row| decoded(&row))
            .map_err(error_class::classify_read)
    }
}

fn decoded(row: &PgRow) -> sqlx::Result<Rights> {
    Ok(Rights {
        login: row.try_get("login")?,
        may_create: row.try_get("may_create")?,
        foreign: row.try_get("foreign_objects")?,
        is_superuser: row.try_get("is_superuser")?,
        owns_log: row.try_get("owns_log")?,
    })
}

#[cfg(test)]
mod tests;
