//! Macro for enums with one wire name per variant.

/// Implements `ALL`, `parse` (any case), `NAMES` (for messages that list the allowed values) and `Display` for enums.
#[macro_export]
macro_rules! wire_enum {
    ($($name:ident: $($variant:ident = $word:literal),+;)+) => {$(
        impl $name {
            /// All variants.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// All wire names, separated by commas.
            pub const NAMES: &'static str = $crate::wire_enum!(@list $($word),+);

            /// Returns the variant with this wire name, in any case.
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
