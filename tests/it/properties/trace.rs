//! Random commands, some of them nonsensical. All values are small numbers, so that commands affect the same resources.

use proptest::option::of;
use proptest::prelude::{Just, Strategy, any, prop_oneof};

/// Command with its request headers.
#[derive(Debug, Clone)]
pub(super) struct TraceStep {
    /// Index of the node, 0 or 1.
    pub(super) node: usize,
    pub(super) ask: TraceCommand,
    pub(super) if_match: Option<u64>,
    /// Idempotency key.
    pub(super) key: Option<u8>,
    /// Whether the caller belongs to another tenant, which has no data.
    pub(super) foreign: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum TraceCommand {
    CreateModality { code: u8 },
    ChangeModality { code: u8, change: Change },
    CreateProcedure { code: u8, modality: u8 },
    ChangeProcedure { code: u8, change: Change },
    CreateOrder(NewOrder),
    ChangeOrder { order: OrderRef, patch: Patch },
}

impl TraceCommand {
    fn is_change(&self) -> bool {
        match self {
            Self::CreateModality { .. } | Self::CreateProcedure { .. } | Self::CreateOrder(_) => {
                false
            }
            Self::ChangeModality { .. }
            | Self::ChangeProcedure { .. }
            | Self::ChangeOrder { .. } => true,
        }
    }
}

/// Change of a catalog resource.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    pub(super) name: Option<u8>,
    pub(super) is_active: Option<bool>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct NewOrder {
    pub(super) accession: Option<u8>,
    pub(super) procedure: u8,
    pub(super) patient: u8,
    pub(super) metadata: Option<u8>,
    pub(super) urgent: bool,
}

/// Order, which may not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum OrderRef {
    /// Order with this accession number.
    Given(u8),
    /// Number of the order among those with a generated accession number.
    Generated(u8),
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Patch {
    pub(super) status: Option<&'static str>,
    pub(super) slot: Option<u8>,
    pub(super) start: Option<Time>,
    pub(super) end: Option<Time>,
    pub(super) reason: Option<u8>,
    pub(super) metadata: Option<u8>,
}

/// Points in time, in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Time {
    Past,
    LaterPast,
    Now,
    Future,
}

impl Time {
    pub(super) const GIVEN: [(Self, &'static str); 3] = [
        (Self::Past, "2020-01-01T00:00:00.000Z"),
        (Self::LaterPast, "2020-01-02T00:00:00.000Z"),
        (Self::Future, "2999-01-01T00:00:00.000Z"),
    ];
}

/// Returns the first steps of every trace: a catalog and some orders.
pub(super) fn beginning() -> Vec<TraceStep> {
    let order = |accession, patient| {
        TraceCommand::CreateOrder(NewOrder {
            accession,
            procedure: 0,
            patient,
            metadata: None,
            urgent: false,
        })
    };
    let procedure = TraceCommand::CreateProcedure {
        code: 0,
        modality: 0,
    };
    let asks = [
        TraceCommand::CreateModality { code: 0 },
        procedure,
        order(Some(0), 0),
        order(Some(1), 1),
        order(None, 0),
    ];
    let plain = |ask| TraceStep {
        node: 0,
        ask,
        if_match: None,
        key: None,
        foreign: false,
    };
    asks.into_iter().map(plain).collect()
}

pub(super) fn step() -> impl Strategy<Value = TraceStep> {
    let if_match = prop_oneof![4 => Just(None), 1 => (0_u64..5).prop_map(Some)];
    let key = prop_oneof![2 => Just(None), 1 => (0_u8..2).prop_map(Some)];
    let foreign = prop_oneof![9 => Just(false), 1 => Just(true)];
    let parts = (0_usize..2, ask(), if_match, key, foreign);
    parts.prop_map(|(node, ask, if_match, key, foreign)| TraceStep {
        node,
        if_match,
        key,
        foreign: foreign && ask.is_change(),
        ask,
    })
}

fn ask() -> impl Strategy<Value = TraceCommand> {
    prop_oneof![
        1 => (0_u8..2).prop_map(|code| TraceCommand::CreateModality { code }),
        1 => (0_u8..3, change()).prop_map(|(code, change)| TraceCommand::ChangeModality { code, change }),
        1 => (0_u8..2, 0_u8..3)
            .prop_map(|(code, modality)| TraceCommand::CreateProcedure { code, modality }),
        2 => (0_u8..3, change()).prop_map(|(code, change)| TraceCommand::ChangeProcedure { code, change }),
        5 => new_order().prop_map(TraceCommand::CreateOrder),
        12 => (name(), patch()).prop_map(|(order, patch)| TraceCommand::ChangeOrder { order, patch }),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let is_active = prop_oneof![
        Just(None),
        Just(Some(true)),
        Just(Some(false)),
        Just(Some(false))
    ];
    (of(0_u8..2), is_active).prop_map(|(name, is_active)| Change { name, is_active })
}

fn new_order() -> impl Strategy<Value = NewOrder> {
    let procedure = prop_oneof![4 => Just(0_u8), 1 => 1_u8..3];
    let parts = (of(0_u8..4), procedure, 0_u8..2, of(0_u8..2), any::<bool>());
    parts.prop_map(
        |(accession, procedure, patient, metadata, urgent)| NewOrder {
            accession,
            procedure,
            patient,
            metadata,
            urgent,
        },
    )
}

fn name() -> impl Strategy<Value = OrderRef> {
    prop_oneof![
        6 => (0_u8..2).prop_map(OrderRef::Given),
        2 => (2_u8..4).prop_map(OrderRef::Given),
        2 => (0_u8..2).prop_map(OrderRef::Generated),
    ]
}

fn patch() -> impl Strategy<Value = Patch> {
    let rarely =
        |range: std::ops::Range<u8>| prop_oneof![3 => Just(None), 1 => range.prop_map(Some)];
    let status = of(prop_oneof![
        1 => Just("requested"),
        3 => Just("scheduled"),
        3 => Just("in_progress"),
        2 => Just("completed"),
        1 => Just("cancelled"),
    ]);
    let parts = (
        status,
        rarely(0..2),
        time(),
        time(),
        rarely(0..2),
        rarely(0..2),
    );
    let any = parts.prop_map(|(status, slot, start, end, reason, metadata)| Patch {
        status,
        slot,
        start,
        end,
        reason,
        metadata,
    });
    let step = prop_oneof![
        1 => Just("requested"),
        3 => Just("scheduled"),
        4 => Just("in_progress"),
        2 => Just("completed"),
    ];
    let mere_step = (step, time(), time()).prop_map(|(status, start, end)| Patch {
        status: Some(status),
        start: start.filter(|_| status == "in_progress" || status == "completed"),
        end: end.filter(|_| status == "completed"),
        ..Patch::default()
    });
    prop_oneof![any, mere_step]
}

fn time() -> impl Strategy<Value = Option<Time>> {
    prop_oneof![
        5 => Just(None),
        1 => Just(Some(Time::Past)),
        1 => Just(Some(Time::LaterPast)),
        2 => Just(Some(Time::Future)),
    ]
}
