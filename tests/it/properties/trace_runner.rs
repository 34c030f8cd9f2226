//! Executes a trace of commands on two executors over one store and compares each result with the model.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use roentgen_commands::{
    CommandEnvelope, CommandError, DomainError, Executor, Idempotency, UseCase,
};
use roentgen_domain::ids::{OrderId, TenantId};
use roentgen_domain::{Actor, Aggregate, Versioned, order};
use roentgen_projections::all;
use roentgen_store::database::Store;
use roentgen_store::engine::Engine as Log;
use roentgen_store::keys::{Keyring, MasterKey};
use roentgen_store::lease::Leases;
use roentgen_store::lifecycle::BackgroundTasks;
use roentgen_store::loader::{self, AsOf};
use roentgen_store::log::LogFilter;
use roentgen_store::projection;
use roentgen_store::projector::Projector;
use roentgen_store::reads::Reads;
use roentgen_tests::{EngineKind, TestDatabase};
use uuid::Uuid;

use super::conversions::{self, Shown};
use super::reference_model::{ModelAnswer, ReferenceModel, path};
use super::trace::{OrderRef, TraceCommand, TraceStep, beginning};
use crate::read_model_audit::{caught_up, compare_all};

/// One engine with two nodes over the same log.
pub(super) struct TraceRunner {
    log: Arc<dyn Log>,
    keyring: Keyring,
    nodes: Vec<Executor>,
    tasks: BackgroundTasks,
    _database: TestDatabase,
}

impl TraceRunner {
    pub(super) async fn open(engine: EngineKind) -> Result<Self> {
        let database = TestDatabase::new(engine).await?;
        let log = roentgen_store::database::DatabaseUrl::parse(&database.url)?;
        let log = log.connect().await?;
        log.migrate().await?;
        let master = MasterKey::parse(&MasterKey::generate())?;
        let tasks = BackgroundTasks::new();
        let one = Store::start(Arc::clone(&log), master.clone(), &tasks).await?;
        let other = Store::start(Arc::clone(&log), master, &tasks).await?;
        let names = projection::leases(&all());
        let leases = Leases::start(log.clone(), "", names, &tasks);
        let tail = Arc::clone(&one.tail);
        Projector::start(Arc::clone(&log), tail, all(), leases, &tasks).await?;
        Ok(Self {
            log,
            keyring: one.keyring.clone(),
            nodes: vec![Executor::new(one), Executor::new(other)],
            tasks,
            _database: database,
        })
    }

    pub(super) async fn close(self) {
        self.tasks.stop(Duration::from_secs(5)).await;
        self.log.close().await;
    }

    /// Runs the first steps and a trace, and returns the result of each command.
    pub(super) async fn play(&self, tenant: Uuid, steps: &[TraceStep]) -> Result<Vec<ModelAnswer>> {
        let mut player = TracePlayer {
            house: self,
            tenant: tenant.into(),
            generated: BTreeMap::new(),
        };
        let mut world = ReferenceModel::default();
        let mut answers = Vec::new();
        for step in beginning().iter().chain(steps) {
            let before = self.log.head().await?.position;
            let said = player.ask(step).await;
            let said = said.with_context(|| format!("{step:?}"))?;
            let appended = self.log.head().await?.position - before;
            let (expected, events) = world.ask(step);
            ensure!(
                said == expected,
                "{step:?}: {said:?} instead of {expected:?}"
            );
            ensure!(
                appended == events,
                "{step:?}: {appended} events instead of {events}"
            );
            answers.push(said);
        }
        for (name, order) in &world.orders {
            player
                .stands(*name, &ModelAnswer::Shown(order.shown(*name)))
                .await?;
        }
        caught_up(&*self.log).await?;
        let own = LogFilter {
            tenant_id: Some(tenant.into()),
            ..LogFilter::default()
        };
        compare_all(&self.log, &self.keyring, &own).await?;
        Ok(answers)
    }
}

struct TracePlayer<'a> {
    house: &'a TraceRunner,
    tenant: TenantId,
    generated: BTreeMap<u8, OrderId>,
}

impl TracePlayer<'_> {
    async fn ask(&mut self, step: &TraceStep) -> Result<ModelAnswer> {
        let tenant = self.tenant;
        match &step.ask {
            TraceCommand::CreateModality { code } => {
                self.run(step, &conversions::new_modality(*code)?).await
            }
            TraceCommand::ChangeModality { code, change } => {
                let change = conversions::change_modality(tenant, *code, change)?;
                self.run(step, &change).await
            }
            TraceCommand::CreateProcedure { code, modality } => {
                let new = conversions::new_procedure(tenant, *code, *modality)?;
                self.run(step, &new).await
            }
            TraceCommand::ChangeProcedure { code, change } => {
                let change = conversions::change_procedure(tenant, *code, change)?;
                self.run(step, &change).await
            }
            TraceCommand::CreateOrder(new) => {
                self.run(step, &conversions::new_order(tenant, new)?).await
            }
            TraceCommand::ChangeOrder { order, patch } => {
                let change = conversions::change_order(self.id(*order)?, patch)?;
                self.run(step, &change).await
            }
        }
    }

    async fn run<U: UseCase>(&mut self, step: &TraceStep, use_case: &U) -> Result<ModelAnswer>
    where
        U::Aggregate: Shown,
    {
        let tenant_id = if step.foreign {
            Uuid::from_u128(7).into()
        } else {
            self.tenant
        };
        let body = format!("{:?}", step.ask);
        let key = step.key.map(|byte| {
            let path = path(&step.ask);
            let key = byte.to_string();
            Idempotency::new(tenant_id, "somebody", "ANY", &path, &key, body.as_bytes())
        });
        let request = CommandEnvelope {
            tenant_id,
            actor: Actor::system(),
            correlation_id: Uuid::from_u128(1).into(),
            causation_id: None,
            if_match: step.if_match,
            idempotency: key,
        };
        let node = self.house.nodes.get(step.node).context("no such node")?;
        match node.execute(&request, use_case).await {
            Ok(outcome) => self.shown(&outcome.resource),
            Err(error) => kind(error).map(ModelAnswer::Refused),
        }
    }

    fn shown<A: Shown>(&mut self, resource: &Versioned<A>) -> Result<ModelAnswer> {
        let mut shown = resource.state.shown()?;
        let members = shown.as_object_mut().context("no object")?;
        members.insert("version".to_owned(), resource.version.into());
        if A::STREAM_TYPE == order::Order::STREAM_TYPE {
            let name = self.name(resource.id.into())?;
            members.insert("name".to_owned(), format!("{name:?}").into());
        }
        Ok(ModelAnswer::Shown(shown))
    }

    fn id(&self, name: OrderRef) -> Result<OrderId> {
        Ok(match name {
            OrderRef::Given(number) => {
                OrderId::derive(self.tenant, &conversions::accession(number)?)
            }
            OrderRef::Generated(number) => {
                let nobody = || Uuid::from_u128(u128::from(number)).into();
                self.generated.get(&number).copied().unwrap_or_else(nobody)
            }
        })
    }

    /// Returns an order's name; an unknown one was just created with a generated number.
    fn name(&mut self, id: OrderId) -> Result<OrderRef> {
        for number in 0..4 {
            if self.id(OrderRef::Given(number))? == id {
                return Ok(OrderRef::Given(number));
            }
        }
        let known = self
            .generated
            .iter()
            .find(|(_, generated)| **generated == id);
        if let Some((number, _)) = known {
            return Ok(OrderRef::Generated(*number));
        }
        let number = u8::try_from(self.generated.len())?;
        self.generated.insert(number, id);
        Ok(OrderRef::Generated(number))
    }

    /// Checks that the stream folds to the model's state.
    async fn stands(&mut self, name: OrderRef, expected: &ModelAnswer) -> Result<()> {
        let log = &self.house.log;
        let keyring = &self.house.keyring;
        let id = self.id(name)?.into();
        let folded =
            loader::load::<order::Order>(&Reads::of_system(log), keyring, id, AsOf::Now).await?;
        let folded = self.shown(&folded.with_context(|| format!("{name:?} is not there"))?)?;
        ensure!(folded == *expected, "{folded:?} instead of {expected:?}");
        Ok(())
    }
}

fn kind(error: CommandError) -> Result<String> {
    let kind = match error {
        CommandError::Domain(refusal) => of_refusal(refusal)?,
        CommandError::ReferenceNotFound(reference) => {
            return Ok(format!("no_such_{}", reference.name()));
        }
        CommandError::ReferenceInactive(_) => "inactive",
        CommandError::VersionMismatch { actual } => {
            return Ok(format!("version_mismatch {actual}"));
        }
        CommandError::IdempotencyKeyReused => "key_reused",
        CommandError::Contention => bail!("contention, with nobody else there"),
        error @ (CommandError::ReferenceMismatch(_)
        | CommandError::TooLarge
        | CommandError::Invalid(_)
        | CommandError::IdOfOtherType) => {
            bail!("{error} is none of the catalog's or an order's")
        }
        CommandError::Store(error) => return Err(anyhow!(error)),
    };
    Ok(kind.to_owned())
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is not played here is a failure of the test"
)]
fn of_refusal(refusal: DomainError) -> Result<&'static str> {
    let kind = match refusal {
        DomainError::EntryExists(_) | DomainError::Order(order::Error::AlreadyExists) => {
            "already_exists"
        }
        DomainError::EntryNotFound(_) | DomainError::Order(order::Error::NotFound) => "not_found",
        DomainError::Order(order::Error::Final { .. }) => "final",
        DomainError::Order(order::Error::InvalidTransition { .. }) => "backwards",
        DomainError::Order(order::Error::StartAfterEnd) => "start_after_end",
        DomainError::Order(order::Error::StartWithoutProgress) => "start_without_progress",
        DomainError::Order(order::Error::EndWithoutCompletion) => "end_without_completion",
        DomainError::Order(order::Error::ReasonWithoutCancellation) => {
            "reason_without_cancellation"
        }
        other => bail!("{other:?} of nothing that is played"),
    };
    Ok(kind)
}
