//! Pages of lists.

use std::future::Future;

use axum::response::Response;
use futures_util::future::try_join_all;
use http::{StatusCode, header};
use roentgen_store::fair::ShareOwner;
use roentgen_store::pace::YieldPacer;
use roentgen_store::read_model::{ListQuery, Row};

use super::ReadRequest;
use crate::app::App;
use crate::command_request::{LOG_POSITION, insert_header, json};
use crate::pagination::{next_link, rows_that_fit};
use crate::problem::Problem;
use crate::routes::strip_version_prefix;

/// Maximum number of rows of a page that needs no turn of the long pages.
const LONG_PAGE: usize = 100;

impl ReadRequest {
    /// Returns a page of a list.
    pub(crate) async fn list(&self, app: &App, query: ListQuery) -> Result<Response, Problem> {
        self.list_as(app, query, |row| self.render_row(app, row))
            .await
    }

    /// Returns a page of a list whose rows are rendered by `render`.
    pub(crate) async fn list_as<F>(
        &self,
        app: &App,
        mut query: ListQuery,
        render: impl Fn(Row) -> F,
    ) -> Result<Response, Problem>
    where
        F: Future<Output = Result<String, Problem>>,
    {
        let shown = self.wait_for_freshness(app).await?;
        let limit = query.limit as usize;
        query.limit += 1;
        let long = if limit > LONG_PAGE {
            app.long_page(ShareOwner::Tenant(self.tenant)).await?
        } else {
            None
        };
        let reads = app.reads(self.tenant);
        let turn = reads.model_turn().await?;
        let mut rows = turn.list(&query).await?;
        let shown_rows = rows_that_fit(rows.iter().map(weight), limit);
        let more = rows.len() > shown_rows;
        rows.truncate(shown_rows);
        let last = rows.last().filter(|_| more).map(|row| row.sort_key.clone());
        let pace = YieldPacer::begin();
        let rendered = rows.into_iter().map(async |row| {
            pace.rest().await;
            render(row).await
        });
        let documents = try_join_all(rendered).await?;
        drop((turn, long));
        Ok(self.page(&documents, last.as_deref(), shown))
    }

    /// Renders a page of a list. If `last` is set, the page links to the rows after this sort key.
    pub(crate) fn page(&self, documents: &[String], last: Option<&[u8]>, shown: u64) -> Response {
        let mut response = json(StatusCode::OK, format!("[{}]", documents.join(",")));
        insert_header(response.headers_mut(), LOG_POSITION, &shown.to_string());
        if let Some(key) = last {
            let cursor = self.cursor(key, self.list_name());
            let link = next_link(&self.path, self.raw_query.as_deref(), &cursor);
            insert_header(response.headers_mut(), header::LINK.as_str(), &link);
        }
        response
    }

    /// Returns the name of the list in its cursors: the path without version prefix.
    pub(crate) fn list_name(&self) -> &str {
        strip_version_prefix(&self.path)
    }
}

/// Returns the approximate size of a row in a list, in bytes.
pub(crate) fn weight(row: &Row) -> usize {
    row.document.len() + row.sealed.len()
}
