//! Keys and names are in this process's memory: no crash and no debugger of the same user writes them to a file.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Forbids core dumps, and other processes of this user to look into this one.
///
/// # Errors
///
/// The system's own reason; the program works without.
pub(crate) fn forbid() -> rustix::io::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
}
