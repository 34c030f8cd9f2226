//! Closed sets of words: enums whose variants have one name each on the wire.

/// Gives enums their words: `ALL`, `parse` (any case), `NAMES` for whoever asks what there is, and `Display`.
#[macro_export]
macro_rules! wire_enum {
    ($($name:ident: $($variant:ident = $word:literal),+;)+) => {$(
        impl $name {
            /// Every variant.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Every word, as a person would list them.
            pub const NAMES: &'static str = $crate::wire_enum!(@list $($word),+);

            /// The variant with this word, in any case.
            pub fn parse(text: &str) -> Option<Self> {
                $(if text.eq_ignore_ascii_case($word) {
                    return Some(Self::$variant);
                })+
                None
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),+ })
            }
        }
    )+};
    (@list $first:literal $(, $word:literal)*) => { concat!($first $(, ", ", $word)*) };
}
