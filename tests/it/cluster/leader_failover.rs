//! The leader is killed or stopped: within 10 s a third node lists what is written on another one, and until then no
//! node reports a lag of 0.

use std::time::Instant;

use anyhow::{Result, ensure};
use roentgen_tests::poll;
use serde_json::json;

use super::lag_monitor::{LagMonitor, Lags};
use super::test_cluster::{TAKEN_OVER, TestCluster};

/// Fault of the leader.
#[derive(Debug, Clone, Copy)]
enum LeaderFault {
    Killed,
    Stopped,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_leader_is_replaced_within_10_s() -> Result<()> {
    is_followed(LeaderFault::Killed).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_stopped_is_followed_within_ten_seconds() -> Result<()> {
    is_followed(LeaderFault::Stopped).await
}

async fn is_followed(blow: LeaderFault) -> Result<()> {
    let fleet = TestCluster::start(3).await?;
    let leader = fleet.leader().await?;
    let writer = fleet.client((leader + 1) % fleet.len());
    let reader = fleet.client((leader + 2) % fleet.len());
    let name = match blow {
        LeaderFault::Killed => "KILL",
        LeaderFault::Stopped => "STOP",
    };
    let watch = LagMonitor::start(&fleet.database, &fleet.nats).await?;
    fleet.signal(leader, name)?;
    let since = Instant::now();
    let order = json!({
        "patient_id": fleet.tenant, "imaging_procedure_id": fleet.procedure,
        "indication": "nobody projects", "accession_number": "TAKEN-OVER",
    });
    let order = writer.post("/imaging/orders", &order).await?;
    ensure!(order.status == 201, "{order:?}");
    let listed = async || {
        let said = watch.look(&writer).await?;
        let also_said = watch.look(&reader).await?;
        ensure!(
            said.is_known() && also_said.is_known(),
            "the database is there: {said:?}, {also_said:?}"
        );
        let list = "/imaging/orders?accession_number=TAKEN-OVER";
        let read = reader.with("prefer", "respond-async").get(list).await?;
        ensure!(read.status == 200, "{read:?}");
        Ok((!read.ids().is_empty(), said, also_said))
    };
    let shown = |result: &Result<(bool, Lags, Lags)>| result.as_ref().is_ok_and(|pair| pair.0);
    let shown = poll::wait_until("the order in the list", TAKEN_OVER, listed, shown).await??;
    watch.close().await;
    eprintln!("{blow:?}: listed after {:?}; {shown:?}", since.elapsed());
    Ok(())
}
