//! What a state takes in memory: an estimate from what it shows, within a factor of three; and whether that is too much.

use roentgen_domain::json::{Json, Members};
use roentgen_domain::{Aggregate, Room, Versioned};
use serde_json::Value;

use crate::memory::of_fields;

/// What a resource takes in memory, in bytes.
pub(super) fn of<A: Aggregate>(resource: &Versioned<A>) -> usize {
    size_of::<Versioned<A>>() + shown(&resource.state) + resource.state.unshown_bytes()
}

/// Whether a resource may have grown so far. What it shows is weighed only if its events can have made that too much.
pub(crate) fn is_within<A: Aggregate>(after: &Versioned<A>, room: Room) -> bool {
    room.admits(after.version, after.size)
        && (room.admits_shown(after.size.all()) || room.admits_shown(shown(&after.state) as u64))
}

/// What is shown of a state, in bytes.
fn shown<A: Aggregate>(state: &A) -> usize {
    let open = match serde_json::to_value(state) {
        Ok(Value::Object(members)) => of_fields(&members),
        Ok(_) | Err(_) => 0,
    };
    let phi = state.phi();
    open + phi.map_or(0, |members| of_texts(members.expose())) + state.alone_bytes()
}

/// What PHI members take: they are kept as text.
fn of_texts(members: &Members) -> usize {
    let texts = members.values().map(|member| member.as_str().len());
    size_of::<(String, Json)>() * members.len() + texts.sum::<usize>()
}

#[cfg(test)]
mod tests;
