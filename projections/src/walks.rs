//! Index ranges that a page reads and merges.

use roentgen_store::read_model::{Filter, Value};

/// Equality condition on one column.
pub(crate) type ColumnEquals = (&'static str, Value);

/// Column with few values, and the values that the page includes.
pub(crate) type Facet = (&'static str, Vec<Value>);

/// Returns the prefixes of one index: the fixed conditions with each combination of the facets' values.
pub(crate) fn prefixes(fixed: &[ColumnEquals], facets: &[Facet]) -> Vec<Vec<ColumnEquals>> {
    let mut prefixes = vec![fixed.to_vec()];
    for (column, values) in facets {
        prefixes = prefixes
            .iter()
            .flat_map(|prefix| {
                values.iter().map(move |value| {
                    let mut longer = prefix.clone();
                    longer.push((column, value.clone()));
                    longer
                })
            })
            .collect();
    }
    prefixes
}

/// Returns a facet over text values: the requested value, or all values.
pub(crate) fn words<T: ToString>(column: &'static str, asked: Option<T>, all: &[T]) -> Facet {
    let text = |word: &T| Value::Text(word.to_string());
    let values = match &asked {
        Some(word) => vec![text(word)],
        None => all.iter().map(text).collect(),
    };
    (column, values)
}

/// Returns a facet over booleans: the requested value, or both.
pub(crate) fn truths(column: &'static str, asked: Option<bool>) -> Facet {
    let asked = asked.map_or(vec![true, false], |truth| vec![truth]);
    (column, asked.into_iter().map(Value::Bool).collect())
}

/// Returns the filters for conditions that the index prefix does not cover.
pub(crate) fn residual(conditions: impl IntoIterator<Item = Option<ColumnEquals>>) -> Vec<Filter> {
    let conditions = conditions.into_iter().flatten();
    conditions
        .map(|(column, value)| Filter::Equals(column, value))
        .collect()
}

#[cfg(test)]
pub(crate) mod tests;
