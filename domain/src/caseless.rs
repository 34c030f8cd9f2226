//! How words are compared: without the white space around them, and without regard to case.
//!
//! Two texts match where their keys are equal. The key is the canonical caseless form of Unicode (chapter 3, definition
//! D145), composed again: full case folding, so that `STRASSE` matches `Straße`, and normalisation, so that an `Ä` of
//! one code point matches one of two. Read models keep the key in their filter columns: another key is another version
//! of those models.

use unicase::UniCase;
use unicode_normalization::UnicodeNormalization as _;

/// What a word is compared by.
pub fn key(text: &str) -> String {
    folded(text.trim())
}

/// The same of a text in which words are searched: its white space counts.
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
