//! Given/when/then tests of aggregates: given events, when a command is decided, then events or an error.

use std::fmt::Debug;

use uuid::Uuid;

use crate::aggregate::{Aggregate, Context};
use crate::envelope::Actor;
use crate::time::Timestamp;

/// Returns the context of every unit test: tenant 1, 2026-01-31 08:15 UTC.
pub(crate) fn context() -> Context {
    Context {
        tenant_id: Uuid::from_u128(1).into(),
        actor: Actor::system(),
        now: "2026-01-31T08:15:00Z".parse().unwrap(),
        fresh_id: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001),
    }
}

/// Returns the time a number of minutes after the time of [`context`].
pub(crate) fn minutes_from_now(minutes: i64) -> Timestamp {
    Timestamp::from_millis(context().now.as_millis() + minutes * 60_000).unwrap()
}

pub(crate) struct Given<A>(Option<A>);

pub(crate) struct When<A: Aggregate>(Result<Vec<A::Event>, A::Error>);

pub(crate) fn given<A: Aggregate>(events: impl IntoIterator<Item = A::Event>) -> Given<A> {
    let evolve = |state, event| Some(A::evolve(state, event).unwrap());
    Given(events.into_iter().fold(None, evolve))
}

impl<A: Aggregate> Given<A> {
    pub(crate) fn when(self, command: A::Command) -> When<A> {
        When(A::decide(self.0.as_ref(), command, &context()))
    }

    pub(crate) fn state(self) -> A {
        self.0.unwrap()
    }
}

impl<A: Aggregate> When<A>
where
    A::Error: PartialEq + Debug,
{
    #[track_caller]
    pub(crate) fn then(self, expected: impl IntoIterator<Item = A::Event>) {
        assert_eq!(self.0, Ok(expected.into_iter().collect()));
    }

    #[track_caller]
    pub(crate) fn refused(self, expected: A::Error) {
        assert_eq!(self.0, Err(expected));
    }
}
