//! Timestamps: RFC 3339 in UTC with milliseconds on the wire; milliseconds since the Unix epoch at rest.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Timestamp with millisecond precision, from [`Timestamp::MIN`] to [`Timestamp::MAX`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(jiff::Timestamp);

/// Error for text that is not an RFC 3339 time, or is outside the supported range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an RFC 3339 time with an offset, such as 2026-01-31T08:15:00Z")]
pub struct InvalidTimestamp;

const YEAR_ZERO_MS: i64 = -62_167_219_200_000;

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(jiff::Timestamp::UNIX_EPOCH);

    /// Earliest supported timestamp: 0000-01-01T00:00:00Z.
    pub const MIN: Self = Self(jiff::Timestamp::constant(YEAR_ZERO_MS / 1000, 0));

    /// Latest supported timestamp, 26 hours before the year 10000: 9999-12-30T22:00:00.999Z.
    pub const MAX: Self = Self(jiff::Timestamp::MAX);

    /// Converts milliseconds since the Unix epoch; `None` outside [`Self::MIN`] to [`Self::MAX`].
    pub fn from_millis(millis: i64) -> Option<Self> {
        if millis < YEAR_ZERO_MS {
            return None;
        }
        jiff::Timestamp::from_millisecond(millis).ok().map(Self)
    }

    /// Returns the milliseconds since the Unix epoch.
    pub fn as_millis(self) -> i64 {
        self.0.as_millisecond()
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    /// Parses an RFC 3339 time. Digits beyond milliseconds are cut off.
    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let time: jiff::Timestamp = text.parse().map_err(|_| InvalidTimestamp)?;
        Self::from_millis(time.as_millisecond()).ok_or(InvalidTimestamp)
    }
}

/// RFC 3339 time as received; some valid times are outside the supported range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParsedTime {
    /// Within the supported range.
    Held(Timestamp),
    /// Before [`Timestamp::MIN`].
    TooEarly,
    /// After [`Timestamp::MAX`], such as 9999-12-31T23:59:59Z.
    TooLate,
}

impl ParsedTime {
    /// Parses an RFC 3339 time.
    ///
    /// # Errors
    ///
    /// [`InvalidTimestamp`] if the text is not an RFC 3339 time, or its local year is not 0000 to 9999.
    pub fn parse(text: &str) -> Result<Self, InvalidTimestamp> {
        if let Ok(time) = text.parse() {
            return Ok(Self::Held(time));
        }
        let pieces = jiff::fmt::temporal::Pieces::parse(text).map_err(|_| InvalidTimestamp)?;
        if pieces.time().is_none() || pieces.offset().is_none() {
            return Err(InvalidTimestamp);
        }
        match pieces.date().year() {
            0 => Ok(Self::TooEarly),
            9999 => Ok(Self::TooLate),
            _ => Err(InvalidTimestamp),
        }
    }

    /// Returns the time, if it is in the supported range.
    pub const fn held(self) -> Option<Timestamp> {
        match self {
            Self::Held(time) => Some(time),
            Self::TooEarly | Self::TooLate => None,
        }
    }

    /// Returns the time, or the nearest supported one; used for bounds of searches.
    pub const fn clamped(self) -> Timestamp {
        match self {
            Self::Held(time) => time,
            Self::TooEarly => Timestamp::MIN,
            Self::TooLate => Timestamp::MAX,
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_utc_with_milliseconds() {
        let time: Timestamp = "2026-01-31T09:15:00.1239+01:00".parse().unwrap();
        assert_eq!(time.to_string(), "2026-01-31T08:15:00.123Z");
    }

    #[test]
    fn survives_the_trip_through_millis() {
        let time: Timestamp = "2026-01-31T08:15:00.123Z".parse().unwrap();
        assert_eq!(Timestamp::from_millis(time.as_millis()), Some(time));
    }

    #[test]
    fn refuses_what_is_no_rfc_3339_time() {
        for text in [
            "",
            "2026-01-31",
            "2026-01-31T08:15:00",
            "yesterday",
            "-000001-01-01T00:00:00Z",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(InvalidTimestamp), "{text}");
        }
    }

    #[test]
    fn a_time_that_cannot_be_held_is_told_from_one_that_is_none() {
        for (text, time) in [
            ("9999-12-31T23:59:59Z", ParsedTime::TooLate),
            ("9999-12-31T23:00:00+01:00", ParsedTime::TooLate),
            ("0000-01-01T00:00:00+14:00", ParsedTime::TooEarly),
            ("0000-01-01T00:00:00Z", ParsedTime::Held(Timestamp::MIN)),
        ] {
            assert_eq!(ParsedTime::parse(text), Ok(time), "{text}");
        }
        for text in [
            "",
            "9999-12-31",
            "9999-12-31T23:59:59",
            "9999-13-01T00:00:00Z",
            "2026-02-30T00:00:00Z",
            "-000001-01-01T00:00:00Z",
            "+010000-01-01T00:00:00Z",
        ] {
            assert_eq!(ParsedTime::parse(text), Err(InvalidTimestamp), "{text}");
        }
        assert_eq!(ParsedTime::TooLate.clamped(), Timestamp::MAX);
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-30T22:00:00.999Z");
        assert_eq!(Timestamp::MIN.to_string(), "0000-01-01T00:00:00.000Z");
    }
}
