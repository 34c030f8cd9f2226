//! Changes of optional members (RFC 7396, JSON Merge Patch): unchanged, removed, or set to a new value.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A change of an optional member. In JSON, an unchanged member is omitted and a removed member is `null`.
///
/// A struct with such a member needs `#[serde(default, skip_serializing_if = "Change::is_keep")]` on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// The member is unchanged.
    #[default]
    Keep,
    /// The member is removed.
    Clear,
    /// The member is set to this value.
    Set(T),
}

impl<T> Change<T> {
    /// Returns whether the member is unchanged.
    pub const fn is_keep(&self) -> bool {
        match self {
            Self::Keep => true,
            Self::Clear | Self::Set(_) => false,
        }
    }

    /// Returns the new value, if any.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Clear => None,
        }
    }

    /// Returns the change by reference.
    pub const fn as_ref(&self) -> Change<&T> {
        match self {
            Self::Keep => Change::Keep,
            Self::Clear => Change::Clear,
            Self::Set(value) => Change::Set(value),
        }
    }

    /// Converts the new value.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Change<U> {
        match self {
            Self::Keep => Change::Keep,
            Self::Clear => Change::Clear,
            Self::Set(value) => Change::Set(convert(value)),
        }
    }

    /// Converts the new value; the conversion may fail.
    ///
    /// # Errors
    /// The error of the conversion.
    pub fn try_map<U, E>(self, convert: impl FnOnce(T) -> Result<U, E>) -> Result<Change<U>, E> {
        match self {
            Self::Keep => Ok(Change::Keep),
            Self::Clear => Ok(Change::Clear),
            Self::Set(value) => convert(value).map(Change::Set),
        }
    }

    /// Returns the member after the change.
    #[must_use]
    pub fn apply(self, before: Option<T>) -> Option<T> {
        match self {
            Self::Keep => before,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }
}

impl<T: PartialEq> Change<T> {
    /// Returns this change if it alters the current member, otherwise [`Self::Keep`].
    #[must_use]
    pub fn unless_already(self, current: Option<&T>) -> Self {
        let makes_a_difference = match (&self, current) {
            (Self::Keep, _) | (Self::Clear, None) => false,
            (Self::Clear, Some(_)) | (Self::Set(_), None) => true,
            (Self::Set(value), Some(current)) => value != current,
        };
        if makes_a_difference { self } else { Self::Keep }
    }
}

/// `Some` sets the member, `None` keeps it.
impl<T> From<Option<T>> for Change<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Keep, Self::Set)
    }
}

impl<T: Serialize> Serialize for Change<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_ref().value().serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Option::<T>::deserialize(deserializer)?;
        Ok(value.map_or(Self::Clear, Self::Set))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Changes {
        #[serde(default, skip_serializing_if = "Change::is_keep")]
        name: Change<String>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Event {
        id: u8,
        #[serde(flatten)]
        changes: Changes,
    }

    #[test]
    fn left_out_null_and_a_value_are_told_apart_and_written_as_they_were_read() {
        for (json, name) in [
            (r#"{"id":1}"#, Change::Keep),
            (r#"{"id":1,"name":null}"#, Change::Clear),
            (r#"{"id":1,"name":"a"}"#, Change::Set("a".to_owned())),
        ] {
            let event: Event = serde_json::from_str(json).unwrap();
            assert_eq!(event.changes.name, name);
            assert_eq!(serde_json::to_string(&event).unwrap(), json);
        }
    }

    #[test]
    fn is_applied_to_what_was_there() {
        assert_eq!(Change::Keep.apply(Some(1)), Some(1));
        assert_eq!(Change::Clear.apply(Some(1)), None);
        assert_eq!(Change::Set(2).apply(Some(1)), Some(2));
    }

    #[test]
    fn what_makes_no_difference_says_nothing() {
        for (change, current) in [
            (Change::Keep, Some(1)),
            (Change::Clear, None),
            (Change::Set(1), Some(1)),
        ] {
            assert!(change.unless_already(current.as_ref()).is_keep());
        }
        for (change, current) in [
            (Change::Clear, Some(1)),
            (Change::Set(1), None),
            (Change::Set(2), Some(1)),
        ] {
            assert_eq!(change.unless_already(current.as_ref()), change);
        }
    }
}
