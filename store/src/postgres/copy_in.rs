//! Writes rows to a read model's table by `COPY`: for many new rows half the work of an upsert.
//!
//! The format is PostgreSQL's binary one (its manual, "COPY", "Binary Format"): a signature, then for each row its
//! number of fields and each field as a length and that many bytes, -1 for a null.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::EngineError;
use crate::read_model::{Column, ColumnKind, Row, Table, Value};
use crate::sql::Dialect;

use super::row_reader::{to_bigint, wrong_kind};
use super::{DIALECT, composed, error_class};

/// Signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const END: i16 = -1;
const NULL: i32 = -1;
/// Expected size of a row in bytes, so that the buffer seldom grows.
const ROW_SIZE_HINT: usize = 1200;

/// New rows of a table, encoded for `COPY`.
pub(super) struct CopyIn {
    sql: String,
    bytes: Vec<u8>,
}

impl CopyIn {
    pub(super) fn encode(table: Table, rows: &[Row]) -> Result<Self, EngineError> {
        let mut fields = CopyEncoder(Vec::with_capacity(
            HEADER.len() + rows.len() * ROW_SIZE_HINT,
        ));
        fields.0.extend_from_slice(HEADER);
        for row in rows {
            fields.row(table.model.columns, row)?;
        }
        fields.0.extend_from_slice(&END.to_be_bytes());
        Ok(Self {
            sql: format!(
                "COPY {} ({}) FROM STDIN WITH (FORMAT binary)",
                DIALECT.table(table),
                Dialect::columns(table.model)
            ),
            bytes: fields.0,
        })
    }

    /// Sends the rows. A duplicate id is detected when the key's index is built.
    pub(super) async fn send(self, connection: &mut PgConnection) -> Result<(), EngineError> {
        let sql = composed(self.sql);
        let begun = connection.copy_in_raw(sql.as_str()).await;
        let mut copy = begun.map_err(error_class::classify_read)?;
        copy.send(self.bytes)
            .await
            .map_err(error_class::classify_read)?;
        copy.finish()
            .await
            .map(drop)
            .map_err(error_class::classify_read)
    }
}

/// Encoder of rows in the binary format.
struct CopyEncoder(Vec<u8>);

impl CopyEncoder {
    /// Encodes a row in the order of [`Dialect::columns`].
    fn row(&mut self, columns: &[Column], row: &Row) -> Result<(), EngineError> {
        let count = FIXED_COLUMN_COUNT + columns.len();
        self.0.extend_from_slice(&(count as i16).to_be_bytes());
        self.uuid(row.id)?;
        self.uuid(row.tenant_id.as_uuid())?;
        match row.patient_id {
            Some(id) => self.uuid(id.as_uuid())?,
            None => self.null(),
        }
        self.field(&to_bigint(row.version).to_be_bytes())?;
        self.field(&row.sort_key)?;
        self.field(row.document.as_bytes())?;
        self.field(&row.sealed)?;
        for (n, column) in columns.iter().enumerate() {
            self.value(column, row.values.get(n).unwrap_or(&Value::Null))?;
        }
        Ok(())
    }

    fn value(&mut self, column: &Column, value: &Value) -> Result<(), EngineError> {
        match (column.kind, value) {
            (_, Value::Null) => {
                self.null();
                Ok(())
            }
            (ColumnKind::Uuid, Value::Uuid(id)) => self.uuid(*id),
            (ColumnKind::Text, Value::Text(text)) => self.field(text.as_bytes()),
            (ColumnKind::Bool, Value::Bool(truth)) => self.field(&[u8::from(*truth)]),
            (ColumnKind::Uuid | ColumnKind::Text | ColumnKind::Bool, _) => Err(wrong_kind(column)),
        }
    }

    fn uuid(&mut self, id: Uuid) -> Result<(), EngineError> {
        self.field(id.as_bytes())
    }

    fn field(&mut self, bytes: &[u8]) -> Result<(), EngineError> {
        let length = i32::try_from(bytes.len());
        let length =
            length.map_err(|_| error_class::unrepresentable("COPY field exceeds 2 GiB"))?;
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn null(&mut self) {
        self.0.extend_from_slice(&NULL.to_be_bytes());
    }
}

/// Number of columns that every table has before its read model's columns.
const FIXED_COLUMN_COUNT: usize = 7;
