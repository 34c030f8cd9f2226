//! Export as Parquet: typed columns, row groups of bounded size. Only the current row group is in memory.

use std::io::Write;
use std::sync::Arc;

use anyhow::Context as _;
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{
    SerializedColumnWriter, SerializedFileWriter, SerializedRowGroupWriter,
};
use parquet::schema::parser::parse_message_type;
use roentgen_store::log::StoredEvent;

use super::row::Row;

/// Columns of the contract. Ids are text, which every reader supports: Spark rejects 16-byte UUIDs, and pandas reads
/// them as objects. Digests are 32 bytes.
const COLUMNS: &str = "
    REQUIRED INT64 position;
    REQUIRED BYTE_ARRAY id (STRING);
    REQUIRED BYTE_ARRAY tenant_id (STRING);
    REQUIRED BYTE_ARRAY stream_type (STRING);
    REQUIRED BYTE_ARRAY stream_id (STRING);
    REQUIRED INT64 version;
    REQUIRED BYTE_ARRAY type (STRING);
    REQUIRED INT32 schema_version;
    REQUIRED INT64 recorded_at (TIMESTAMP(MILLIS, true));
    REQUIRED BYTE_ARRAY actor (JSON);
    REQUIRED BYTE_ARRAY correlation_id (STRING);
    OPTIONAL BYTE_ARRAY causation_id (STRING);
    REQUIRED BYTE_ARRAY data (JSON);
    REQUIRED BYTE_ARRAY phi (STRING);
    REQUIRED BYTE_ARRAY leaf;
    REQUIRED BYTE_ARRAY hash;
";

/// Additional columns of an archive, needed to compute leaf hashes and to restore events.
const FULL_COLUMNS: &str = "
    REQUIRED BYTE_ARRAY sealed;
    REQUIRED BYTE_ARRAY metadata (JSON);
";

/// Set of columns in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnSet {
    /// Columns of the contract, for analysts.
    Public,
    /// All stored columns.
    Full,
}

impl ColumnSet {
    fn schema(self) -> String {
        let more = match self {
            Self::Public => "",
            Self::Full => FULL_COLUMNS,
        };
        format!("message events {{{COLUMNS}{more}}}")
    }
}

/// Columns with few distinct values per row group.
const DICTIONARY_COLUMNS: [&str; 7] = [
    "tenant_id",
    "stream_type",
    "type",
    "schema_version",
    "actor",
    "correlation_id",
    "phi",
];

/// Number of rows written to a column at a time.
const BATCH: usize = 1024;

/// Size limits of a row group; it ends when either is reached.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowGroupLimits {
    pub(super) rows: usize,
    /// Size of the events in memory, in bytes.
    pub(super) bytes: usize,
}

/// Default limits. Readers process row groups in parallel and skip groups that their filter excludes.
pub(super) const BOUNDS: RowGroupLimits = RowGroupLimits {
    rows: 100_000,
    bytes: 64 * 1024 * 1024,
};

/// Parquet file being written.
#[derive(Debug)]
pub(super) struct Parquet<W: Write + Send> {
    file: SerializedFileWriter<W>,
    bounds: RowGroupLimits,
    extent: ColumnSet,
    group: Vec<StoredEvent>,
    weight: usize,
}

impl<W: Write + Send> Parquet<W> {
    /// Writes the file header.
    pub(super) fn begin(out: W, bounds: RowGroupLimits, extent: ColumnSet) -> anyhow::Result<Self> {
        let schema = Arc::new(parse_message_type(&extent.schema())?);
        Ok(Self {
            file: SerializedFileWriter::new(out, schema, Arc::new(properties()))?,
            bounds,
            extent,
            group: Vec::new(),
            weight: 0,
        })
    }

    /// Adds an event; writes the row group if it is full.
    pub(super) fn push(&mut self, event: StoredEvent) -> anyhow::Result<()> {
        self.weight += event.memory_bytes();
        self.group.push(event);
        if self.group.len() >= self.bounds.rows || self.weight >= self.bounds.bytes {
            self.write_group()?;
        }
        Ok(())
    }

    /// Writes the last row group and the footer.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        if !self.group.is_empty() {
            self.write_group()?;
        }
        self.file.close()?;
        Ok(())
    }

    fn write_group(&mut self) -> anyhow::Result<()> {
        let rows: Vec<_> = self
            .group
            .iter()
            .map(Row::from_event)
            .collect::<anyhow::Result<_>>()?;
        let group = self.file.next_row_group()?;
        Columns { group, rows: &rows }.write(self.extent)?;
        self.group.clear();
        self.weight = 0;
        Ok(())
    }
}

/// Returns the writer properties, without page indexes: they would stay in memory for the whole file.
fn properties() -> WriterProperties {
    let plain = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_dictionary_enabled(false);
    DICTIONARY_COLUMNS
        .iter()
        .fold(plain, |builder, column| {
            builder.set_column_dictionary_enabled((*column).into(), true)
        })
        .build()
}

/// Column writer of one row group, in schema order.
struct Columns<'a, W: Write + Send> {
    group: SerializedRowGroupWriter<'a, W>,
    rows: &'a [Row<'a>],
}

impl<W: Write + Send> Columns<'_, W> {
    fn write(mut self, extent: ColumnSet) -> anyhow::Result<()> {
        self.numbers(|row| row.event.position)?;
        self.bytes(|row| byte_array(row.event.event_id.to_string()))?;
        self.bytes(|row| byte_array(row.event.tenant_id.to_string()))?;
        self.bytes(|row| byte_array(&*row.event.stream_type))?;
        self.bytes(|row| byte_array(row.event.stream_id.to_string()))?;
        self.numbers(|row| row.event.version)?;
        self.bytes(|row| byte_array(&*row.event.event_type))?;
        let schema_version =
            |row: &Row<'_>| i32::try_from(row.event.schema_version).unwrap_or(i32::MAX);
        self.each::<Int32Type>(schema_version)?;
        self.each::<Int64Type>(|row| row.event.recorded_at_ms)?;
        self.bytes(|row| byte_array(row.actor))?;
        self.bytes(|row| byte_array(row.correlation_id))?;
        self.bytes_or_null(|row| row.causation_id.map(byte_array))?;
        self.bytes(|row| byte_array(&*row.event.payload))?;
        self.bytes(|row| byte_array(row.phi()))?;
        self.bytes(|row| byte_array(row.event.leaf))?;
        self.bytes(|row| byte_array(row.event.hash))?;
        if extent == ColumnSet::Full {
            self.bytes(|row| byte_array(&*row.event.sealed))?;
            self.bytes(|row| byte_array(&*row.event.metadata))?;
        }
        self.group.close()?;
        Ok(())
    }

    fn numbers(&mut self, value: impl Fn(&Row<'_>) -> u64) -> anyhow::Result<()> {
        self.each::<Int64Type>(|row| i64::try_from(value(row)).unwrap_or(i64::MAX))
    }

    fn bytes(&mut self, value: impl Fn(&Row<'_>) -> ByteArray) -> anyhow::Result<()> {
        self.each::<ByteArrayType>(value)
    }

    fn each<T: DataType>(&mut self, value: impl Fn(&Row<'_>) -> T::T) -> anyhow::Result<()> {
        let all = self.rows;
        let mut column = self.next()?;
        for rows in all.chunks(BATCH) {
            let values: Vec<T::T> = rows.iter().map(&value).collect();
            column.typed::<T>().write_batch(&values, None, None)?;
        }
        Ok(column.close()?)
    }

    /// Writes nullable bytes: definition level 1 is a value, 0 is null.
    fn bytes_or_null(
        &mut self,
        value: impl Fn(&Row<'_>) -> Option<ByteArray>,
    ) -> anyhow::Result<()> {
        let all = self.rows;
        let mut column = self.next()?;
        for rows in all.chunks(BATCH) {
            let values: Vec<_> = rows.iter().map(&value).collect();
            let levels: Vec<i16> = values
                .iter()
                .map(|array| i16::from(array.is_some()))
                .collect();
            let values: Vec<_> = values.into_iter().flatten().collect();
            let column = column.typed::<ByteArrayType>();
            column.write_batch(&values, Some(&levels), None)?;
        }
        Ok(column.close()?)
    }

    fn next(&mut self) -> anyhow::Result<SerializedColumnWriter<'_>> {
        let column = self.group.next_column()?;
        column.context("the schema has fewer columns than are written")
    }
}

fn byte_array(bytes: impl AsRef<[u8]>) -> ByteArray {
    bytes.as_ref().to_vec().into()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    use roentgen_domain::ids::{EventId, StreamId, TenantId};
    use uuid::Uuid;

    use super::*;

    fn event(position: u64) -> StoredEvent {
        let id = Uuid::from_u128(position.into());
        let metadata = format!(r#"{{"actor":{{}},"correlation_id":"{id}"}}"#);
        StoredEvent {
            position,
            tenant_id: TenantId::from(id),
            stream_type: "ImagingOrder".into(),
            stream_id: StreamId::from(id),
            version: 1,
            event_id: EventId::from(id),
            event_type: "ImagingOrder.Created".into(),
            schema_version: 1,
            recorded_at_ms: 0,
            payload: "{}".to_owned(),
            sealed: Vec::new(),
            metadata,
            leaf: [1; 32],
            hash: [2; 32],
        }
    }

    /// Returns the row count of each row group when ten events are written.
    fn groups(bounds: RowGroupLimits) -> Vec<i64> {
        let mut written = Vec::new();
        let mut file = Parquet::begin(&mut written, bounds, ColumnSet::Full).unwrap();
        for position in 1..=10 {
            file.push(event(position)).unwrap();
            assert!(file.group.len() < bounds.rows && file.weight < bounds.bytes);
        }
        file.finish().unwrap();
        let file = SerializedFileReader::new(Bytes::from(written)).unwrap();
        let groups = file.metadata().row_groups().iter();
        groups.map(|data| data.num_rows()).collect()
    }

    #[test]
    fn row_groups_are_bounded_by_rows_and_by_bytes() {
        let few = 3;
        let light = 3 * event(1).memory_bytes();
        for (rows, bytes) in [(few, usize::MAX), (usize::MAX, light)] {
            assert_eq!(groups(RowGroupLimits { rows, bytes }), [3, 3, 3, 1]);
        }
        assert_eq!(groups(BOUNDS), [10]);
    }

    #[test]
    fn an_event_out_of_form_is_refused_without_its_words() {
        let mut file = Parquet::begin(Vec::new(), BOUNDS, ColumnSet::Public).unwrap();
        let metadata = r#"{"actor":"Roe"#.to_owned();
        let damaged = StoredEvent {
            metadata,
            ..event(7)
        };
        file.push(damaged).unwrap();
        let refused = format!("{:#}", file.finish().unwrap_err());
        assert!(
            refused.contains("position 7") && !refused.contains("Roe"),
            "{refused}"
        );
    }
}
