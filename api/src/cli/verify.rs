//! `roentgen verify`.

use std::path::Path;
use std::process::ExitCode;

use roentgen_store::archive::Archive;
use roentgen_store::chain::hex;
use roentgen_store::engine::Engine;
use roentgen_store::log::Head;
use roentgen_store::verify::{Break, Verification, verify};

use super::archive::{file, head_of};
use super::progress::Progress;

/// How many events are read at once.
const PAGE: u32 = 5000;

/// Exit 0 where the chain holds, 1 where it breaks. Archives are walked where it is said where they are; they come first.
pub(super) async fn run(engine: &dyn Engine, archive: Option<&Path>) -> anyhow::Result<ExitCode> {
    if let Some(directory) = archive
        && let Err(finding) = archives(engine, directory).await?
    {
        println!("{finding}");
        return Ok(ExitCode::from(1));
    }
    let progress = Progress::of(None);
    let found = verify(engine, |position| progress.at(position)).await?;
    drop(progress);
    Ok(match found {
        Verification::Holds { after, head } => {
            let (events, hash) = (head.position, hex(&head.hash));
            match (after, archive) {
                (0, _) => println!("the chain holds: {events} events, head {hash}"),
                (_, Some(_)) => println!(
                    "the chain holds: {events} events, {after} of them in archives, head {hash}"
                ),
                (_, None) => println!(
                    "the chain holds from position {} on: {events} events, head {hash}; \
                     those before are archived: --archive DIR walks them too",
                    after + 1
                ),
            }
            ExitCode::SUCCESS
        }
        Verification::Broken(Break { position, reason }) => {
            println!("the chain breaks at position {position}: {reason}");
            ExitCode::from(1)
        }
    })
}

/// Walks every archive from the log's first position on; or says what is wrong.
async fn archives(engine: &dyn Engine, directory: &Path) -> anyhow::Result<Result<(), String>> {
    let mut before = Head::default();
    for archive in engine.archives().await? {
        if let Err(finding) = one(engine, &archive, before, directory).await? {
            return Ok(Err(finding));
        }
        before = head_of(&archive);
    }
    Ok(Ok(()))
}

async fn one(
    engine: &dyn Engine,
    archive: &Archive,
    before: Head,
    directory: &Path,
) -> anyhow::Result<Result<(), String>> {
    let path = directory.join(&archive.file_name);
    let (first, last) = (archive.partition.after() + 1, archive.partition.last());
    let shown = path.display();
    if !path.try_exists()? {
        return Ok(Err(format!(
            "{shown} is missing: positions {first} to {last} cannot be verified"
        )));
    }
    let kept = kept(engine, archive).await?;
    Ok(match file::walk(path.clone(), before, kept).await {
        Err(unreadable) => Err(format!("{unreadable:#}")),
        Ok(Err(Break { position, reason })) => Err(format!(
            "the chain breaks at position {position}, in {shown}: {reason}"
        )),
        Ok(Ok(head)) if head.position < last => Err(format!(
            "the chain breaks at position {}, in {shown}: an event is missing",
            head.position + 1
        )),
        Ok(Ok(head)) if head != head_of(archive) => Err(format!(
            "the chain breaks at position {last}, in {shown}: it does not end as it did"
        )),
        Ok(Ok(_)) if file::sha256(path.clone()).await? != archive.file_sha256 => Err(format!(
            "{shown} is not the file that was archived, although its chain holds"
        )),
        Ok(Ok(_)) => Ok(()),
    })
}

/// What the log keeps of an archive.
async fn kept(engine: &dyn Engine, archive: &Archive) -> anyhow::Result<Vec<file::Kept>> {
    let (mut kept, mut after) = (Vec::new(), archive.partition.after());
    loop {
        let events = engine.kept(after, PAGE).await?;
        let Some(last) = events.last() else {
            return Ok(kept);
        };
        after = last.position;
        let of_it = events.iter().map(|it| (it.position, it.hash));
        kept.extend(of_it.take_while(|it| it.0 <= archive.partition.last()));
        if after > archive.partition.last() {
            return Ok(kept);
        }
    }
}
