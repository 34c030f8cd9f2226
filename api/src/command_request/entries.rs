//! Commands on the entries of the catalog.

use axum::response::Response;
use roentgen_commands::DomainError;
use roentgen_commands::catalog::{CreateEntry, UpdateEntry};
use roentgen_domain::catalog::CatalogEntry;

use super::{CommandRequest, SuccessKind};
use crate::app::App;
use crate::problem::Problem;

impl CommandRequest {
    /// Adds an entry to the catalog.
    pub(crate) async fn create<E: CatalogEntry>(
        &self,
        app: &App,
        collection: &'static str,
        entry: E,
    ) -> Result<Response, Problem>
    where
        DomainError: From<E::Invalid>,
    {
        let created = SuccessKind::Created(collection);
        self.run(app, &CreateEntry(entry), created).await
    }

    /// Changes an entry of the catalog.
    pub(crate) async fn update<E: CatalogEntry>(
        &self,
        app: &App,
        id: E::Id,
        update: E::Update,
    ) -> Result<Response, Problem>
    where
        DomainError: From<E::Invalid>,
    {
        let update = UpdateEntry::<E> { id, update };
        self.run(app, &update, SuccessKind::Updated).await
    }
}
