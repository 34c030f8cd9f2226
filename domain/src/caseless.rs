//! Comparison of terms: without surrounding white space, and without regard to case.
//!
//! Two texts match if their keys are equal. The key is the canonical caseless form of Unicode (chapter 3, definition
//! D145), recomposed to NFC. Full case folding makes `STRASSE` match `Straße`; normalisation makes an `Ä` of one code
//! point match an `Ä` of two. Read models store the key in their filter columns: a change of the key requires a new
//! version of these read models.

use unicase::UniCase;
use unicode_normalization::UnicodeNormalization as _;

/// Returns the key by which a term is compared.
pub fn key(text: &str) -> String {
    folded(text.trim())
}

/// Returns the key of a text to be searched in: white space is significant.
pub fn folded(text: &str) -> String {
    let decomposed: String = text.nfd().collect();
    UniCase::unicode(decomposed)
        .to_folded_case()
        .nfc()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_case_nor_padding_nor_composition_counts() {
        for (one, other) in [
            ("CHEST ", "chest"),
            ("\tHead", "HEAD"),
            ("schädel", "SCHÄDEL"),
            ("scha\u{308}del", "SCH\u{c4}DEL"),
            ("Straße", "STRASSE"),
            ("ΟΔΟΣ", "οδος"),
        ] {
            assert_eq!(key(one), key(other), "{one} {other}");
        }
    }

    #[test]
    fn other_words_stay_apart() {
        for (one, other) in [
            ("HEAD", "HEART"),
            ("SCHADEL", "SCHÄDEL"),
            ("LEFT ARM", "LEFTARM"),
        ] {
            assert_ne!(key(one), key(other), "{one} {other}");
        }
    }

    #[test]
    fn a_key_is_its_own_key() {
        for text in ["Straße", "ΟΔΟΣ", "İ", "ŉ", "ﬀ", "A\u{345}"] {
            assert_eq!(key(&key(text)), key(text), "{text}");
        }
    }
}
