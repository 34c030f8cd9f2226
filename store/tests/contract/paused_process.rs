//! A node that is paused at a random moment, as by a full swap disk, a paused virtual machine or `kill -STOP`.
//!
//! The node must be a process. It is this binary, which runs only [`a_node_of_its_own`] as a node.

use std::io::Read as _;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use roentgen_store::clock::fresh_id;
use roentgen_store::database::DatabaseUrl;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::builders::{stream, to};
use crate::harness::{ContractDatabase, ContractNode, DbFile, verified_log, wait_until};

on_postgres_only!(heavy_a_stopped_node_stalls_no_other_for_more_than_two_seconds);

/// Environment variable with the database of the node that this process is to run.
const NODE: &str = "ROENTGEN_CONTRACT_NODE";
const WRITERS: usize = 16;
const STOPS: usize = 40;
const LONGEST: Duration = Duration::from_secs(2);
const EVENT_TYPE: &str = "ImagingOrder.Scheduled";

/// Not a test unless [`NODE`] is set. Then it appends until its input ends, which happens when the parent process ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_its_own() {
    let Ok(url) = std::env::var(NODE) else { return };
    let engine = DatabaseUrl::parse(&url).unwrap().connect().await.unwrap();
    let node = Arc::new(ContractNode::with_engine(engine).await);
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let node = Arc::clone(&node);
        writers.spawn(async move {
            let own = stream();
            for at in (0..).step_by(3) {
                let mut append = to(own, at, 3);
                append
                    .events
                    .iter_mut()
                    .for_each(|event| event.event_type = EVENT_TYPE);
                node.append(append).await.unwrap();
            }
        });
    }
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let ended = writers.join_next().await;
    panic!("a writer ended: {ended:?}");
}

fn start_a_node(bed: &ContractDatabase) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "paused_process::a_node_of_its_own",
            "--nocapture",
        ])
        .env(NODE, bed.url())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn signal(child: &Child, signal: &str) {
    let pid = child.id().expect("the node runs").to_string();
    let sent = Command::new("kill")
        .args([signal, &pid])
        .status()
        .await
        .unwrap();
    assert!(sent.success());
}

/// This node's appends, and the longest of them in milliseconds.
#[derive(Default)]
struct Load {
    done: AtomicU64,
    longest: AtomicU64,
    over: AtomicBool,
}

async fn write(node: Arc<ContractNode>, load: Arc<Load>) {
    let own = stream();
    for at in 0.. {
        if load.over.load(Ordering::Relaxed) {
            return;
        }
        let began = Instant::now();
        node.append(to(own, at, 1)).await.unwrap();
        let took = u64::try_from(began.elapsed().as_millis()).unwrap();
        load.longest.fetch_max(took, Ordering::Relaxed);
        load.done.fetch_add(1, Ordering::Relaxed);
    }
}

/// Pauses the other node at 40 random moments under load, each time until this node has appended for a while. A node
/// that held the append lock across a round trip would sometimes be paused while holding it.
async fn heavy_a_stopped_node_stalls_no_other_for_more_than_two_seconds(bed: &ContractDatabase) {
    let node = Arc::new(bed.node().await);
    let other = start_a_node(bed);
    let of_the_other = async || {
        let count = format!("SELECT count(*)::text FROM events WHERE type = '{EVENT_TYPE}'");
        bed.ask(DbFile::Log, count).await[0].parse::<u64>().unwrap()
    };
    wait_until("the other node's appends", of_the_other, |number| {
        *number > 100
    })
    .await;
    let load = Arc::new(Load::default());
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        writers.spawn(write(Arc::clone(&node), Arc::clone(&load)));
    }
    let done = async || load.done.load(Ordering::Relaxed);
    for _ in 0..STOPS {
        // Not a wait: the random moment is what is tested.
        let moment = u64::try_from(fresh_id().as_u128() % 40_000).unwrap();
        tokio::time::sleep(Duration::from_micros(moment)).await;
        signal(&other, "-STOP").await;
        let before = done().await;
        wait_until("this node's appends", done, |number| {
            *number > before + 3 * WRITERS as u64
        })
        .await;
        signal(&other, "-CONT").await;
    }
    load.over.store(true, Ordering::Relaxed);
    writers.join_all().await;
    let longest = Duration::from_millis(load.longest.load(Ordering::Relaxed));
    println!(
        "{} appends beside a node stopped {STOPS} times, the longest {longest:?}",
        done().await
    );
    assert!(longest <= LONGEST, "{longest:?}");

    let before = of_the_other().await;
    wait_until("the other node goes on", of_the_other, |number| {
        *number > before
    })
    .await;
    drop(other);
    verified_log(&*node.engine).await;
}
