//! Score of an AI model: confidence or urgency.

use serde::{Deserialize, Deserializer, Serialize};

/// Number from 0 to 1, both included.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Score(f64);

/// Error for a number that is not a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a number from 0 to 1")]
pub struct InvalidScore;

impl Score {
    /// Parses a score, 0 to 1.
    ///
    /// # Errors
    ///
    /// [`InvalidScore`] for any other number, and for NaN.
    pub fn parse(number: f64) -> Result<Self, InvalidScore> {
        if (0.0..=1.0).contains(&number) {
            // Adding zero turns -0.0, which would print its sign, into 0.0.
            Ok(Self(number + 0.0))
        } else {
            Err(InvalidScore)
        }
    }

    /// Returns the score as a number.
    pub const fn get(self) -> f64 {
        self.0
    }

    /// Returns the higher of two scores.
    #[must_use]
    pub const fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }
}

impl<'de> Deserialize<'de> for Score {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(f64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_between_zero_and_one() {
        for good in [0.0, 0.15, 1.0] {
            assert_eq!(Score::parse(good).unwrap().get().to_bits(), good.to_bits());
        }
        assert_eq!(Score::parse(-0.0).unwrap().get().to_bits(), 0);
        for bad in [-0.01, 1.01, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(Score::parse(bad), Err(InvalidScore), "{bad}");
        }
    }

    #[test]
    fn what_was_stored_is_checked_when_it_is_read() {
        assert!(serde_json::from_str::<Score>("0.92").is_ok());
        assert!(serde_json::from_str::<Score>("1.5").is_err());
    }
}
