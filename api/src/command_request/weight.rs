//! Size of a JSON text's content, counted in one pass without allocation, before parsing.

/// Content counts of a JSON text. A text of 8 MiB can contain four million elements, each of which takes dozens of
/// bytes once parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Weight {
    /// Number of object members.
    pub(super) members: usize,
    /// Number of arrays, objects, and values that follow another value in one of them.
    pub(super) elements: usize,
    /// Length in bytes of the longest member name as sent: errors carry copies of it.
    pub(super) longest_name: usize,
}

impl Weight {
    /// Counts the content of a text. Invalid JSON is counted as if it were valid.
    pub(super) fn measure(json: &[u8]) -> Self {
        let mut weight = Self {
            members: 0,
            elements: 0,
            longest_name: 0,
        };
        let mut bytes = json.iter();
        let mut last_string = 0;
        while let Some(byte) = bytes.next() {
            match byte {
                b'"' => last_string = pass_string(&mut bytes),
                b':' => {
                    weight.members += 1;
                    weight.longest_name = weight.longest_name.max(last_string);
                }
                b',' | b'[' | b'{' => weight.elements += 1,
                _ => {}
            }
        }
        weight
    }

    /// Returns whether any count exceeds the limit.
    pub(super) const fn exceeds(self, most: Self) -> bool {
        self.members > most.members
            || self.elements > most.elements
            || self.longest_name > most.longest_name
    }
}

/// Advances past the end of a string and returns its length.
fn pass_string(bytes: &mut std::slice::Iter<'_, u8>) -> usize {
    let before = bytes.len();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => break,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
    before - bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_stands_outside_of_strings() {
        for (json, members, elements, longest_name) in [
            ("", 0, 0, 0),
            ("\"a,b:[{\"", 0, 0, 0),
            (r#""\"{,:" "#, 0, 0, 0),
            (r#""\\",1"#, 0, 1, 0),
            (r#"{"a":[1,2,{}],"b:" : "longer"}"#, 2, 6, 3),
            ("\"never ended,\\", 0, 0, 0),
        ] {
            let weight = Weight {
                members,
                elements,
                longest_name,
            };
            assert_eq!(Weight::measure(json.as_bytes()), weight, "{json}");
        }
    }

    #[test]
    fn is_too_much_if_one_of_the_counts_is() {
        let of = |members, elements, longest_name| Weight {
            members,
            elements,
            longest_name,
        };
        let most = of(2, 3, 4);
        assert!(!most.exceeds(most));
        for more in [of(3, 0, 0), of(0, 4, 0), of(0, 0, 5)] {
            assert!(more.exceeds(most), "{more:?}");
        }
    }
}
