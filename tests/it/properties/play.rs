//! A trace of commands, played to two executors over one store, each answer held against the model's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use roentgen_commands::{CommandError, Executor, Idempotency, Refusal, Request, UseCase};
use roentgen_domain::ids::{OrderId, TenantId};
use roentgen_domain::{Actor, Aggregate, Versioned, modality, order, procedure};
use roentgen_projections::all;
use roentgen_store::engine::Engine as Log;
use roentgen_store::keys::{Keyring, MasterKey};
use roentgen_store::lease::Leases;
use roentgen_store::lifecycle::Tasks;
use roentgen_store::log::LogFilter;
use roentgen_store::open::Store;
use roentgen_store::projector::{self, Projector};
use roentgen_store::reads::Reads;
use roentgen_store::streams::{self, AsOf};
use roentgen_tests::{Database, Engine};
use uuid::Uuid;

use super::commands::{Ask, Name, Step, beginning};
use super::model::{Said, World, path};
use super::words::{self, Shown};
use crate::read_models::{caught_up, compare_all};

/// One engine, with everything that a server runs over it, twice over the same log.
pub(super) struct House {
    log: Arc<dyn Log>,
    keyring: Keyring,
    nodes: Vec<Executor>,
    tasks: Tasks,
    _database: Database,
}

impl House {
    pub(super) async fn open(engine: Engine) -> Result<Self> {
        let database = Database::new(engine).await?;
        let log = roentgen_store::open::Database::parse(&database.url)?;
        let log = log.connect().await?;
        log.migrate().await?;
        let (master, tasks) = (MasterKey::parse(&MasterKey::generate())?, Tasks::new());
        let one = Store::start(Arc::clone(&log), master.clone(), &tasks).await?;
        let other = Store::start(Arc::clone(&log), master, &tasks).await?;
        let names = projector::leases(&all());
        let leases = Leases::seek(Arc::clone(&log), "", names, &tasks);
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

    /// Plays a trace, after its beginning. Returns what each was answered.
    pub(super) async fn play(&self, tenant: Uuid, steps: &[Step]) -> Result<Vec<Said>> {
        let mut player = Player {
            house: self,
            tenant: tenant.into(),
            generated: BTreeMap::new(),
        };
        let (mut world, mut answers) = (World::default(), Vec::new());
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
                .stands(*name, &Said::Shown(order.shown(*name)))
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

struct Player<'a> {
    house: &'a House,
    tenant: TenantId,
    generated: BTreeMap<u8, OrderId>,
}

impl Player<'_> {
    async fn ask(&mut self, step: &Step) -> Result<Said> {
        let tenant = self.tenant;
        match &step.ask {
            Ask::CreateModality { code } => self.run(step, &words::new_modality(*code)?).await,
            Ask::ChangeModality { code, change } => {
                let change = words::change_modality(tenant, *code, change)?;
                self.run(step, &change).await
            }
            Ask::CreateProcedure { code, modality } => {
                let new = words::new_procedure(tenant, *code, *modality)?;
                self.run(step, &new).await
            }
            Ask::ChangeProcedure { code, change } => {
                let change = words::change_procedure(tenant, *code, change)?;
                self.run(step, &change).await
            }
            Ask::CreateOrder(new) => self.run(step, &words::new_order(tenant, new)?).await,
            Ask::ChangeOrder { order, patch } => {
                let change = words::change_order(self.id(*order)?, patch)?;
                self.run(step, &change).await
            }
        }
    }

    async fn run<U: UseCase>(&mut self, step: &Step, use_case: &U) -> Result<Said>
    where
        U::Aggregate: Shown,
    {
        let tenant_id = match step.foreign {
            true => Uuid::from_u128(7).into(),
            false => self.tenant,
        };
        let body = format!("{:?}", step.ask);
        let key = step.key.map(|it| {
            let (path, key) = (path(&step.ask), it.to_string());
            Idempotency::new(tenant_id, "somebody", "ANY", &path, &key, body.as_bytes())
        });
        let request = Request {
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
            Err(error) => kind(error).map(Said::Refused),
        }
    }

    fn shown<A: Shown>(&mut self, resource: &Versioned<A>) -> Result<Said> {
        let mut shown = resource.state.shown()?;
        let members = shown.as_object_mut().context("no object")?;
        members.insert("version".to_owned(), resource.version.into());
        if A::STREAM_TYPE == order::Order::STREAM_TYPE {
            let name = self.name(resource.id.into())?;
            members.insert("name".to_owned(), format!("{name:?}").into());
        }
        Ok(Said::Shown(shown))
    }

    fn id(&self, name: Name) -> Result<OrderId> {
        Ok(match name {
            Name::Given(number) => OrderId::of(self.tenant, &words::accession(number)?),
            Name::Generated(number) => {
                let nobody = || Uuid::from_u128(u128::from(number)).into();
                self.generated.get(&number).copied().unwrap_or_else(nobody)
            }
        })
    }

    /// An order's name; one that is not known yet has just got a generated number.
    fn name(&mut self, id: OrderId) -> Result<Name> {
        for number in 0..4 {
            if self.id(Name::Given(number))? == id {
                return Ok(Name::Given(number));
            }
        }
        let known = self.generated.iter().find(|(_, it)| **it == id);
        if let Some((number, _)) = known {
            return Ok(Name::Generated(*number));
        }
        let number = u8::try_from(self.generated.len())?;
        self.generated.insert(number, id);
        Ok(Name::Generated(number))
    }

    /// The stream folds to what the model has.
    async fn stands(&mut self, name: Name, expected: &Said) -> Result<()> {
        let (log, keyring) = (&self.house.log, &self.house.keyring);
        let id = self.id(name)?.into();
        let folded =
            streams::load::<order::Order>(&Reads::of_system(log), keyring, id, AsOf::Now).await?;
        let folded = self.shown(&folded.with_context(|| format!("{name:?} is not there"))?)?;
        ensure!(folded == *expected, "{folded:?} instead of {expected:?}");
        Ok(())
    }
}

fn kind(error: CommandError) -> Result<String> {
    let kind = match error {
        CommandError::Refused(refusal) => of_refusal(refusal)?,
        CommandError::NoSuch(reference) => return Ok(format!("no_such_{}", reference.name())),
        CommandError::Inactive(_) => "inactive",
        CommandError::VersionMismatch { actual } => {
            return Ok(format!("version_mismatch {actual}"));
        }
        CommandError::KeyReused => "key_reused",
        CommandError::Contention => bail!("contention, with nobody else there"),
        error @ (CommandError::NotTheStudys(_)
        | CommandError::TooLarge
        | CommandError::Unacceptable(_)
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
fn of_refusal(refusal: Refusal) -> Result<&'static str> {
    let kind = match refusal {
        Refusal::Modality(modality::Error::AlreadyExists)
        | Refusal::Procedure(procedure::Error::AlreadyExists)
        | Refusal::Order(order::Error::AlreadyExists) => "already_exists",
        Refusal::Modality(modality::Error::NotFound)
        | Refusal::Procedure(procedure::Error::NotFound)
        | Refusal::Order(order::Error::NotFound) => "not_found",
        Refusal::Order(order::Error::Final { .. }) => "final",
        Refusal::Order(order::Error::Backwards { .. }) => "backwards",
        Refusal::Order(order::Error::StartAfterEnd) => "start_after_end",
        Refusal::Order(order::Error::StartWithoutProgress) => "start_without_progress",
        Refusal::Order(order::Error::EndWithoutCompletion) => "end_without_completion",
        Refusal::Order(order::Error::ReasonWithoutCancellation) => "reason_without_cancellation",
        other => bail!("{other:?} of nothing that is played"),
    };
    Ok(kind)
}
