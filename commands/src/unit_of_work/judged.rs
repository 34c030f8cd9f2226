//! Schema validation for use cases.

use roentgen_domain::report_template::Schema;
use serde_json::Value;

use super::UnitOfWork;
use crate::error::{CommandError, Violation};
use crate::json_schema::ValidationCaller;

impl UnitOfWork<'_> {
    /// Checks that a schema is valid and supported.
    pub(crate) async fn accepts_schema(&self, schema: &Schema) -> Result<(), CommandError> {
        self.schemas.judge(self.asker(), schema, None).await
    }

    /// Returns the violations of a schema by the data.
    pub(crate) async fn schema_violations(
        &self,
        schema: &Schema,
        data: Value,
    ) -> Result<Vec<Violation>, CommandError> {
        match self.schemas.judge(self.asker(), schema, Some(data)).await {
            Ok(()) => Ok(Vec::new()),
            Err(CommandError::Invalid(wrong)) => Ok(wrong),
            Err(failed) => Err(failed),
        }
    }

    fn asker(&self) -> ValidationCaller {
        ValidationCaller {
            party: self.request.party(),
            tenant: self.context.tenant_id,
            deadline: self.deadline,
        }
    }
}
