//! Estimated memory of a state, within a factor of three, and the check of its size limit.

use std::io::{self, Write};

use roentgen_domain::json::{Json, Members};
use roentgen_domain::text::Text;
use roentgen_domain::{Aggregate, StreamBudget, Versioned};
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

/// Returns the estimated memory of a resource, in bytes.
pub(super) fn estimated_bytes<A: Aggregate>(resource: &Versioned<A>) -> usize {
    size_of::<Versioned<A>>() + shown(&resource.state, Kept) + resource.state.unshown_bytes()
}

/// Checks whether a resource is within its budget. Its visible content is measured only if the size of its events
/// allows it to exceed the limit.
pub(crate) fn is_within<A: Aggregate>(after: &Versioned<A>, room: StreamBudget) -> bool {
    room.admits(after.version, after.size)
        && (room.admits_shown(after.size.all())
            || room.admits_shown(shown(&after.state, CompactFormatter) as u64))
}

/// Returns the size of the visible content of a state, in bytes of JSON.
fn shown<A: Aggregate>(state: &A, formatter: impl Formatter) -> usize {
    let mut open = ByteCounter(0);
    let _ = state.serialize(&mut Serializer::with_formatter(&mut open, formatter));
    let phi = state.phi();
    open.0 + phi.map_or(0, |members| of_texts(members.expose())) + state.alone_bytes()
}

/// Compact JSON formatter that adds the size of an empty [`Text`] per list element.
struct Kept;

impl Formatter for Kept {
    fn begin_array_value<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        CompactFormatter.begin_array_value(to, first)?;
        to.write_all(&[0; size_of::<Text>()])
    }
}

/// Writer that counts bytes.
struct ByteCounter(usize);

impl Write for ByteCounter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the memory of PHI members, which are stored as text, in bytes.
fn of_texts(members: &Members) -> usize {
    let texts = members.values().map(|member| member.as_str().len());
    size_of::<(String, Json)>() * members.len() + texts.sum::<usize>()
}

#[cfg(test)]
mod tests;
