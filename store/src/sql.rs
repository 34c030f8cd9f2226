//! SQL statements that depend on the schema of a read model, for both engines, which both accept `$1`.
//!
//! Identifiers come only from `&'static str`s in a [`ReadModel`]; all input of callers is passed as arguments.

#[cfg(test)]
pub(crate) mod ladder;

use uuid::Uuid;

use crate::read_model::{Column, ColumnKind, Filter, Index, ListQuery, ReadModel, Table, Value};

/// A statement with its arguments, `$1` first.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) args: Vec<Arg>,
}

/// An argument of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Arg {
    Uuid(Uuid),
    Text(String),
    Bool(bool),
    Bytes(Vec<u8>),
    Int(i64),
}

/// The differences between the SQL dialects of the engines.
#[derive(Debug)]
pub(crate) struct Dialect {
    /// Prefix of read-model tables: a schema name and a dot, or empty.
    pub(crate) schema: &'static str,
    pub(crate) uuid: &'static str,
    pub(crate) bool: &'static str,
    pub(crate) bytes: &'static str,
    pub(crate) int: &'static str,
    /// Whether the key of a table is an index like the others, built after the table is filled.
    pub(crate) key_is_built: bool,
}

/// The columns of every read-model table, before the model's own columns.
pub(crate) const FIXED_COLUMNS: &str =
    "id, tenant_id, patient_id, version, sort_key, document, sealed";

impl Dialect {
    pub(crate) fn table(&self, table: Table) -> String {
        format!("{}{}", self.schema, table.name())
    }

    fn type_of(&self, kind: ColumnKind) -> &'static str {
        match kind {
            ColumnKind::Uuid => self.uuid,
            ColumnKind::Text => "text",
            ColumnKind::Bool => self.bool,
        }
    }

    pub(crate) fn create_table(&self, table: Table) -> String {
        let Self {
            uuid, bytes, int, ..
        } = self;
        let own = table
            .model
            .columns
            .iter()
            .map(|Column { name, kind }| format!(", {name} {}", self.type_of(*kind)))
            .collect::<String>();
        let key = if self.key_is_built {
            "NOT NULL"
        } else {
            "PRIMARY KEY"
        };
        format!(
            "CREATE TABLE IF NOT EXISTS {} (id {uuid} {key}, tenant_id {uuid} NOT NULL, \
             patient_id {uuid}, version {int} NOT NULL, sort_key {bytes} NOT NULL, \
             document text NOT NULL, sealed {bytes} NOT NULL{own})",
            self.table(table)
        )
    }

    /// Returns one statement per index; each must be run separately.
    pub(crate) fn create_indexes(&self, table: Table) -> Vec<String> {
        let key = self.key_is_built.then(|| self.create_key(table));
        let indexes = table.model.indexes.iter().enumerate();
        let indexes = indexes.map(|(place, index)| self.create_index(table, place, index));
        key.into_iter().chain(indexes).collect()
    }

    fn create_key(&self, table: Table) -> String {
        let name = table.name();
        let table = self.table(table);
        format!("CREATE UNIQUE INDEX IF NOT EXISTS {name}_by_id ON {table} (id)")
    }

    fn create_index(&self, table: Table, place: usize, index: &Index) -> String {
        let columns = index
            .columns
            .iter()
            .map(|column| format!("{column}, "))
            .collect::<String>();
        let named = index
            .columns
            .iter()
            .map(|column| format!("{column}_"))
            .collect::<String>();
        let sparse = match (index.sparse, index.columns.first()) {
            (true, Some(first)) => format!(" AND {first} IS NOT NULL"),
            (true, None) | (false, _) => String::new(),
        };
        format!(
            "CREATE INDEX IF NOT EXISTS {}_by_{named}sort_key ON {} \
             (tenant_id, {columns}sort_key) WHERE {}{sparse}",
            table.name(),
            self.table(table),
            mark(place)
        )
    }

    /// Returns the statement that drops a table by its stored name.
    pub(crate) fn drop_table(&self, name: &str) -> String {
        format!("DROP TABLE IF EXISTS {}{name}", self.schema)
    }

    /// Returns all columns of a row: the fixed ones first, then the model's own in its order.
    pub(crate) fn columns(model: &ReadModel) -> String {
        let own = model
            .columns
            .iter()
            .map(|column| format!(", {}", column.name))
            .collect::<String>();
        format!("{FIXED_COLUMNS}{own}")
    }

    /// Returns the statement for a page of a read model: the ordered union of the results of all index prefixes.
    pub(crate) fn list(&self, table: Table, query: &ListQuery) -> Statement {
        let mut list = ListBuilder { args: Vec::new() };
        let parts: Vec<String> = query
            .prefixes
            .iter()
            .map(|prefix| list.part((self, table), query, prefix))
            .collect();
        let union = parts
            .iter()
            .enumerate()
            .map(|(n, part)| format!("SELECT * FROM ({part}) AS part_{n}"))
            .collect::<Vec<_>>()
            .join(" UNION ALL ");
        let limit = list.arg(Arg::Int(i64::from(query.limit)));
        Statement {
            sql: format!("{union} ORDER BY sort_key LIMIT {limit}"),
            args: list.args,
        }
    }
}

/// Returns the marker condition of an index. Every row meets it, since no version is negative, and each index of a
/// model has a different one. A planner can use a partial index only if the statement contains the index's condition,
/// and a scan contains only that of its own index. The planner therefore has no choice, whatever its statistics say.
fn mark(place: usize) -> String {
    format!("version <> -{}", place + 1)
}

struct ListBuilder {
    args: Vec<Arg>,
}

/// Returns whether the prefix selects a single row by id.
fn is_by_id(prefix: &[(&'static str, Value)]) -> bool {
    prefix.iter().any(|(column, _)| *column == "id")
}

impl ListBuilder {
    fn arg(&mut self, arg: Arg) -> String {
        let known = self.args.iter().position(|value| *value == arg);
        let place = known.unwrap_or_else(|| {
            self.args.push(arg);
            self.args.len() - 1
        });
        format!("${}", place + 1)
    }

    fn part(
        &mut self,
        (dialect, table): (&Dialect, Table),
        query: &ListQuery,
        prefix: &[(&'static str, Value)],
    ) -> String {
        let mut conditions = vec![format!(
            "tenant_id = {}",
            self.arg(Arg::Uuid(query.tenant_id.as_uuid()))
        )];
        for (column, value) in prefix {
            conditions.push(self.is(column, value));
        }
        conditions.extend(table.model.index_of(prefix).map(mark));
        for filter in &query.filters {
            conditions.push(match filter {
                Filter::Equals(column, value) => self.is(column, value),
                Filter::Contains(column, text) => self.contains(column, text),
            });
        }
        for (bound, comparison) in [
            (&query.after, ">"),
            (&query.from, ">="),
            (&query.before, "<"),
        ] {
            if let Some(key) = bound {
                conditions.push(format!(
                    "sort_key {comparison} {}",
                    self.arg(Arg::Bytes(key.clone()))
                ));
            }
        }
        let end = if is_by_id(prefix) {
            "LIMIT 1".to_owned()
        } else {
            let limit = self.arg(Arg::Int(i64::from(query.limit)));
            format!("ORDER BY sort_key LIMIT {limit}")
        };
        format!(
            "SELECT {} FROM {} WHERE {} {end}",
            Dialect::columns(table.model),
            dialect.table(table),
            conditions.join(" AND "),
        )
    }

    fn is(&mut self, column: &str, value: &Value) -> String {
        let arg = match value {
            Value::Null => return format!("{column} IS NULL"),
            Value::Uuid(id) => Arg::Uuid(*id),
            Value::Text(text) => Arg::Text(text.clone()),
            Value::Bool(truth) => Arg::Bool(*truth),
        };
        format!("{column} = {}", self.arg(arg))
    }

    fn contains(&mut self, column: &str, text: &str) -> String {
        let escaped = text
            .replace('\\', "\\\\")
            .replace('%', "\\%")
            .replace('_', "\\_");
        let pattern = self.arg(Arg::Text(format!("%{escaped}%")));
        format!("{column} LIKE {pattern} ESCAPE '\\'")
    }
}
