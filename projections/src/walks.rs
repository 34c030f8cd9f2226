//! The index walks that a page is made of.

use roentgen_store::read_model::{Filter, Value};

/// An equality on one column.
pub(crate) type ColumnEquals = (&'static str, Value);

/// A column with few values, and those of them that the page is about.
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

/// A facet over words: the one that is asked for, or all there are.
pub(crate) fn words<T: ToString>(column: &'static str, asked: Option<T>, all: &[T]) -> Facet {
    let text = |word: &T| Value::Text(word.to_string());
    let values = match &asked {
        Some(word) => vec![text(word)],
        None => all.iter().map(text).collect(),
    };
    (column, values)
}

/// A facet over truth values: the one that is asked for, or both.
pub(crate) fn truths(column: &'static str, asked: Option<bool>) -> Facet {
    let asked = asked.map_or(vec![true, false], |truth| vec![truth]);
    (column, asked.into_iter().map(Value::Bool).collect())
}

/// What is asked of columns that the walk does not name.
pub(crate) fn residual(conditions: impl IntoIterator<Item = Option<ColumnEquals>>) -> Vec<Filter> {
    let conditions = conditions.into_iter().flatten();
    conditions
        .map(|(column, value)| Filter::Equals(column, value))
        .collect()
}

#[cfg(test)]
pub(crate) mod tests;
