use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;

use super::queue::{Admission, Queue, Ticket};
use super::*;

fn tenant(n: u128) -> ShareOwner {
    ShareOwner::Tenant(Uuid::from_u128(n).into())
}

fn limits(shared: usize, reserve: usize) -> Limits {
    Limits {
        shared,
        reserve,
        little: 1,
        waiting: 1000,
    }
}

/// A queue with its numbered callers and the units that each owner holds.
struct Model {
    queue: Queue<usize>,
    limits: Limits,
    waiting: Vec<(usize, Ticket)>,
    holding: Vec<(ShareOwner, usize)>,
    turns: Vec<ShareOwner>,
    callers: usize,
}

impl Model {
    fn new(limits: Limits) -> Self {
        Self {
            queue: Queue::new(limits),
            limits,
            waiting: Vec::new(),
            holding: Vec::new(),
            turns: Vec::new(),
            callers: 0,
        }
    }

    fn arrives(&mut self, party: ShareOwner, units: usize) {
        self.callers += 1;
        match self.queue.arrive(party, units, self.callers) {
            Admission::Granted { units } => self.is_served(party, units),
            Admission::Waits(ticket) => self.waiting.push((self.callers, ticket)),
            Admission::Refused => {}
        }
        self.serve();
    }

    fn leaves(&mut self, n: usize) {
        if let Some(n) = n.checked_rem(self.holding.len()) {
            let (party, units) = self.holding.remove(n);
            self.queue.leave(party, units);
            self.serve();
        }
    }

    fn gives_up(&mut self, n: usize) {
        if let Some(n) = n.checked_rem(self.waiting.len()) {
            let (_, ticket) = self.waiting.remove(n);
            assert!(self.queue.withdraw(&ticket));
            self.serve();
        }
    }

    fn serve(&mut self) {
        let mut granted = Vec::new();
        self.queue.serve(|caller| granted.push(caller));
        for caller in granted {
            let place = self.waiting.iter().position(|(n, _)| *n == caller);
            let (_, ticket) = self.waiting.remove(place.expect("a caller that waits"));
            self.is_served(ticket.party, ticket.units);
        }
    }

    fn is_served(&mut self, party: ShareOwner, units: usize) {
        self.holding.push((party, units));
        self.turns.push(party);
    }

    fn held(&self, party: ShareOwner) -> usize {
        let own = self.holding.iter().filter(|(holder, _)| *holder == party);
        own.map(|(_, units)| units).sum()
    }

    fn used(&self) -> usize {
        self.holding.iter().map(|(_, units)| units).sum()
    }

    fn is_sound(&self) {
        let Limits {
            shared,
            reserve,
            little,
            ..
        } = self.limits;
        assert_eq!(self.queue.used(), self.used());
        assert!(
            self.used() <= shared + reserve,
            "more is lent than there is"
        );
        for (_, ticket) in &self.waiting {
            let held = self.held(ticket.party) + ticket.units;
            let from_reserve = held <= little && self.used() + ticket.units <= shared + reserve;
            let is_first = self
                .waiting
                .iter()
                .find(|(_, waiting)| waiting.party == ticket.party);
            let is_first = is_first.is_some_and(|(_, value)| std::ptr::eq(value, ticket));
            assert!(!(is_first && from_reserve), "waits beside a free reserve");
        }
        let largest = self.waiting.iter().map(|(_, ticket)| ticket.units).max();
        let is_idle = largest.is_some_and(|units| self.used() + units <= shared);
        assert!(!is_idle, "callers wait for units that are free");
    }
}

#[test]
fn lone_party_gets_everything() {
    let mut model = Model::new(limits(8, 2));
    (0..10).for_each(|_| model.arrives(tenant(1), 1));
    assert_eq!((model.held(tenant(1)), model.waiting.len()), (8, 2));
}

#[test]
fn newcomer_is_served_from_the_reserve_while_another_party_has_everything() {
    let mut model = Model::new(limits(8, 2));
    (0..200).for_each(|_| model.arrives(tenant(1), 1));
    model.arrives(tenant(2), 1);
    model.arrives(tenant(3), 1);
    model.arrives(tenant(4), 1);
    let held = [1, 2, 3, 4].map(|n| model.held(tenant(n)));
    assert_eq!(held, [8, 1, 1, 0], "the reserve has two units");
}

#[test]
fn turns_go_round_while_parties_wait() {
    let mut model = Model::new(limits(1, 0));
    (0..50).for_each(|_| model.arrives(tenant(1), 1));
    (0..5).for_each(|_| model.arrives(tenant(2), 1));
    (0..5).for_each(|_| model.arrives(tenant(3), 1));
    (0..20).for_each(|_| model.leaves(0));
    let turns = model.turns.get(1..16).expect("more turns");
    for round in turns.chunks(3) {
        let mut round = round.to_vec();
        round.sort_unstable();
        assert_eq!(round, [tenant(1), tenant(2), tenant(3)]);
    }
}

#[test]
fn large_wish_is_not_overtaken_by_small_ones_of_equals() {
    let mut model = Model::new(limits(10, 0));
    model.arrives(tenant(1), 6);
    model.arrives(tenant(2), 8);
    model.arrives(tenant(3), 3);
    assert_eq!(model.held(tenant(3)), 0, "it came after the large one");
    model.leaves(0);
    assert_eq!((model.held(tenant(2)), model.held(tenant(3))), (8, 0));
    model.leaves(0);
    assert_eq!(model.held(tenant(3)), 3);
}

#[test]
fn wish_for_more_than_there_is_gets_all_of_it() {
    let mut model = Model::new(limits(10, 0));
    model.arrives(tenant(1), 64);
    assert_eq!(model.used(), 10);
}

#[test]
fn one_partys_callers_fill_their_own_queue_only() {
    let limits = Limits {
        waiting: 3,
        ..limits(1, 0)
    };
    let mut model = Model::new(limits);
    (0..10).for_each(|_| model.arrives(tenant(1), 1));
    assert_eq!(model.waiting.len(), 3);
    model.arrives(tenant(2), 1);
    assert_eq!(model.waiting.len(), 4);
}

#[derive(Debug, Clone)]
enum Step {
    Arrives(u128, usize),
    Leaves(usize),
    GivesUp(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..5_u128, 1..7_usize).prop_map(|(party, units)| Step::Arrives(party, units)),
        3 => any::<usize>().prop_map(Step::Leaves),
        1 => any::<usize>().prop_map(Step::GivesUp),
    ]
}

proptest! {
    /// No unit is lent twice, no unit is idle while callers wait, and every waiting caller is served once units are
    /// returned.
    #[test]
    fn units_are_lent_once_and_to_everybody(
        steps in prop::collection::vec(step(), 1..120),
        shared in 1..12_usize,
        reserve in 0..4_usize,
        little in 0..3_usize,
    ) {
        let mut model = Model::new(Limits { shared, reserve, little, waiting: 20 });
        for step in steps {
            match step {
                Step::Arrives(party, units) => model.arrives(tenant(party), units),
                Step::Leaves(n) => model.leaves(n),
                Step::GivesUp(n) => model.gives_up(n),
            }
            model.is_sound();
        }
        let mut left = model.waiting.len() + model.holding.len();
        while left > 0 {
            model.leaves(0);
            left -= 1;
        }
        prop_assert_eq!((model.waiting.len(), model.used()), (0, 0));
    }

    /// An owner that always has waiting callers never keeps another owner from its share.
    #[test]
    fn party_that_floods_gets_its_share_and_no_more(shared in 1..9_usize, others in 1..4_u128) {
        let mut model = Model::new(limits(shared, 0));
        (0..500).for_each(|_| model.arrives(tenant(1), 1));
        for other in 0..others {
            (0..40).for_each(|_| model.arrives(tenant(2 + other), 1));
        }
        let before = model.turns.len();
        (0..60).for_each(|_| model.leaves(0));
        let turns = model.turns.get(before..).expect("more turns");
        for other in 0..others {
            let own = turns.iter().filter(|party| **party == tenant(2 + other)).count();
            let fair = turns.len() / (usize::try_from(others).unwrap() + 1);
            prop_assert!(own + shared >= fair.min(40), "{own} of {} turns", turns.len());
        }
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

#[tokio::test]
async fn caller_that_is_dropped_gives_up_its_place_and_its_units() {
    let share = FairShare::new("test", limits(1, 0));
    let first = share.enter(tenant(1), 1, soon()).await.unwrap();
    let mut second = Box::pin(share.enter(tenant(2), 1, soon()));
    let mut third = Box::pin(share.enter(tenant(3), 1, soon()));
    for waiting in [&mut second, &mut third] {
        assert!(futures_util::poll!(waiting).is_pending());
    }
    drop(first);
    drop(second);
    let third = third
        .await
        .expect("the second returned what it was granted");
    assert_eq!(share.lent_units(), 1);
    drop(third);
    assert_eq!(share.lent_units(), 0);
}

#[tokio::test]
async fn caller_waits_until_its_deadline_and_no_longer() {
    let share = FairShare::new("test", limits(1, 0));
    let first = share.enter(tenant(1), 1, soon()).await.unwrap();
    let late = share.enter(tenant(2), 1, Instant::now()).await;
    assert_eq!(late.err(), Some(ShareExhausted("test")));
    assert!(share.try_enter(tenant(2), 1).is_err());
    drop(first);
    assert!(share.try_enter(tenant(2), 1).is_ok());
}
