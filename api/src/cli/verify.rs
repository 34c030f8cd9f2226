//! `roentgen verify`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use roentgen_store::archive::ArchivedPartition;
use roentgen_store::chain::hex;
use roentgen_store::chain_verification::{ChainBreak, KeyCheck, KeyFindings, Verification, verify};
use roentgen_store::engine::Engine;
use roentgen_store::keys::{KeyBinding, KeyMismatch, MasterKey, misfit};
use roentgen_store::lifecycle::BackgroundTasks;
use roentgen_store::log::Head;
use roentgen_store::projector::{ComparedModel, Comparison, Projection, compare};
use tokio::sync::mpsc;

use super::archive::{file, head_of};
use super::progress_line::ProgressLine;
use crate::config::Config;

/// How many events are read at once.
const PAGE: u32 = 5000;

/// What is verified.
#[derive(Debug, Args)]
pub(super) struct Verifying {
    /// Directory with archived partition files, verified first.
    #[arg(long)]
    archive: Option<PathBuf>,
    /// Compare each row of the read models with its stream, too; no server may run meanwhile.
    #[arg(long)]
    deep: bool,
}

/// Exit 0 where the chain holds and no key is missing, 1 where something is wrong. Archives are walked where it is said
/// where they are; they come first. Without a master key, keys are not looked at.
pub(super) async fn run(
    engine: Arc<dyn Engine>,
    config: &Config,
    verifying: &Verifying,
) -> anyhow::Result<ExitCode> {
    let code = look(&engine, config, verifying).await;
    // SQLite leaves no WAL behind, which would be read into a file that is restored to this place.
    engine.close().await;
    code
}

async fn look(
    engine: &Arc<dyn Engine>,
    config: &Config,
    verifying: &Verifying,
) -> anyhow::Result<ExitCode> {
    let (master, mut is_sound) = match KeySourceForVerify::open(&**engine, config).await? {
        Ok(master) => (master, true),
        // The walk names them.
        Err(older @ KeyMismatch::KeysOlder { .. }) => {
            println!("{older}");
            (
                KeySourceForVerify::Known(config.master_key()?.clone()),
                false,
            )
        }
        Err(misfit) => {
            println!("{misfit}");
            return Ok(ExitCode::from(1));
        }
    };
    let mut keys = match &master {
        KeySourceForVerify::Known(key) => Some(KeyCheck::new(&**engine, key)),
        KeySourceForVerify::Unknown => None,
    };
    let archive = verifying.archive.as_deref();
    is_sound &= chain(&**engine, archive, keys.as_mut()).await?;
    is_sound &= match keys {
        Some(keys) => tell_keys(&keys.finish().await?),
        None => {
            println!("keys not checked: --master-key is required");
            true
        }
    };
    if verifying.deep {
        is_sound &= deep(engine, &(config.projections)()).await?;
    }
    Ok(ExitCode::from(u8::from(!is_sound)))
}

/// The master key to check keys with.
enum KeySourceForVerify {
    Known(MasterKey),
    /// None was given, and what `--dev` made up is not this database's.
    Unknown,
}

impl KeySourceForVerify {
    async fn open(
        engine: &dyn Engine,
        config: &Config,
    ) -> anyhow::Result<Result<Self, KeyMismatch>> {
        let Some(key) = &config.master_key else {
            return Ok(Ok(Self::Unknown));
        };
        let found = misfit(engine, key.fingerprint(), KeyBinding::Look).await?;
        Ok(match found {
            None => Ok(Self::Known(key.clone())),
            Some(KeyMismatch::OtherMasterKey) if !config.master_key_is_given() => Ok(Self::Unknown),
            Some(misfit) => Err(misfit),
        })
    }
}

/// Whether the chain holds, which is said.
async fn chain(
    engine: &dyn Engine,
    archive: Option<&Path>,
    mut keys: Option<&mut KeyCheck<'_>>,
) -> anyhow::Result<bool> {
    if let Some(directory) = archive
        && let Err(finding) = archives(engine, directory, keys.as_deref_mut()).await?
    {
        println!("{finding}");
        return Ok(false);
    }
    let progress = ProgressLine::new(None);
    let found = verify(engine, keys, |position| progress.at(position)).await?;
    drop(progress);
    Ok(match found {
        Verification::Intact { after, head } => {
            let events = head.position;
            let hash = hex(&head.hash);
            match (after, archive) {
                (0, _) => println!("chain intact: {events} events, head {hash}"),
                (_, Some(_)) => {
                    println!("chain intact: {events} events ({after} archived), head {hash}")
                }
                (_, None) => println!(
                    "chain intact from position {}: {events} events, head {hash}; earlier events are archived, verify \
                     them with --archive DIR",
                    after + 1
                ),
            }
            true
        }
        Verification::Broken(ChainBreak { position, reason }) => {
            println!("chain broken at position {position}: {reason}");
            false
        }
    })
}

/// Whether no key is missing, which is said.
fn tell_keys(found: &KeyFindings) -> bool {
    let KeyFindings {
        open,
        erased,
        parts,
        wrong,
        told,
    } = found;
    for finding in told {
        println!("{finding}");
    }
    let counted = format!("{open} open, {erased} erased, {parts} sealed parts");
    if *wrong == 0 {
        println!("keys intact: {counted}");
    } else {
        println!("keys missing or corrupt: {wrong}; {counted}");
    }
    *wrong == 0
}

/// How long giving the read models' leases back may take.
const GIVEN_BACK: Duration = Duration::from_secs(5);

/// Whether the read models are what the log makes, which is said.
async fn deep(
    engine: &Arc<dyn Engine>,
    projections: &[Arc<dyn Projection>],
) -> anyhow::Result<bool> {
    let tasks = BackgroundTasks::new();
    let compared = compare(engine, projections, &tasks).await;
    tasks.stop(GIVEN_BACK).await;
    let compared = match compared? {
        Comparison::Done(compared) => compared,
        Comparison::Busy => bail!(
            "a server projects the read models: stop all servers, or verify a copy, to compare them with the log"
        ),
    };
    let models = compared.len();
    let mut is_sound = true;
    for ComparedModel { name, difference } in compared {
        if let Some(difference) = difference {
            println!("{name} differs from the log: {difference}");
            is_sound = false;
        }
    }
    if is_sound {
        println!("the read models hold: {models} are what the log makes");
    }
    Ok(is_sound)
}

/// Walks every archive from the log's first position on; or says what is wrong.
async fn archives(
    engine: &dyn Engine,
    directory: &Path,
    mut keys: Option<&mut KeyCheck<'_>>,
) -> anyhow::Result<Result<(), String>> {
    let mut before = Head::default();
    for archive in engine.archives().await? {
        if let Err(finding) = one(engine, &archive, before, directory, keys.as_deref_mut()).await? {
            return Ok(Err(finding));
        }
        before = head_of(&archive);
    }
    Ok(Ok(()))
}

async fn one(
    engine: &dyn Engine,
    archive: &ArchivedPartition,
    before: Head,
    directory: &Path,
    keys: Option<&mut KeyCheck<'_>>,
) -> anyhow::Result<Result<(), String>> {
    let path = directory.join(&archive.file_name);
    let first = archive.partition.after() + 1;
    let last = archive.partition.last();
    let shown = path.display();
    if !path.try_exists()? {
        return Ok(Err(format!(
            "{shown} not found: positions {first} to {last} not verified"
        )));
    }
    let kept = retained_events(engine, archive).await?;
    Ok(match walked(path.clone(), before, kept, keys).await {
        Err(unreadable) => Err(format!("{unreadable:#}")),
        Ok(Err(ChainBreak { position, reason })) => Err(format!(
            "chain broken at position {position} in {shown}: {reason}"
        )),
        Ok(Ok(head)) if head.position < last => Err(format!(
            "chain broken at position {} in {shown}: an event is missing",
            head.position + 1
        )),
        Ok(Ok(head)) if head != head_of(archive) => Err(format!(
            "chain broken at position {last} in {shown}: last hash differs"
        )),
        Ok(Ok(_)) if file::sha256(path.clone()).await? != archive.file_sha256 => Err(format!(
            "{shown} has a valid chain but is not the archived file"
        )),
        Ok(Ok(_)) => Ok(()),
    })
}

/// How many portions of sealed parts wait to be looked at.
const WAITING: usize = 4;

/// Walks a file, and looks at the keys that it names meanwhile.
async fn walked(
    path: PathBuf,
    before: Head,
    kept: Vec<file::RetainedEvent>,
    keys: Option<&mut KeyCheck<'_>>,
) -> anyhow::Result<Result<Head, ChainBreak>> {
    let Some(keys) = keys else {
        return file::walk(path, before, kept, None).await;
    };
    let (send, mut named) = mpsc::channel(WAITING);
    let looked_at = async {
        while let Some(named) = named.recv().await {
            keys.parts(named).await?;
        }
        anyhow::Ok(())
    };
    let (walked, looked_at) = tokio::join!(file::walk(path, before, kept, Some(send)), looked_at);
    looked_at?;
    walked
}

/// What the log keeps of an archive.
async fn retained_events(
    engine: &dyn Engine,
    archive: &ArchivedPartition,
) -> anyhow::Result<Vec<file::RetainedEvent>> {
    let mut kept = Vec::new();
    let mut after = archive.partition.after();
    loop {
        let events = engine.retained_events(after, PAGE).await?;
        let Some(last) = events.last() else {
            return Ok(kept);
        };
        after = last.position;
        let of_it = events.iter().map(|event| (event.position, event.hash));
        kept.extend(of_it.take_while(|pair| pair.0 <= archive.partition.last()));
        if after > archive.partition.last() {
            return Ok(kept);
        }
    }
}
