//! What most stories begin with.

use anyhow::Result;
use roentgen_tests::{Client, Database, Engine, Server};
use serde_json::json;
use uuid::Uuid;

/// Makes tests of stories: `async fn NAME(engine: Engine) -> Result<()>` becomes `NAME::sqlite` and `NAME::postgres`.
macro_rules! on_both_engines {
    ($($story:ident),+ $(,)?) => {$(
        mod $story {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() -> anyhow::Result<()> {
                super::$story(roentgen_tests::Engine::Sqlite).await
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() -> anyhow::Result<()> {
                super::$story(roentgen_tests::Engine::Postgres).await
            }
        }
    )+};
}
pub(crate) use on_both_engines;

/// A fresh id.
pub(crate) fn fresh() -> Uuid {
    roentgen_store::clock::fresh_id()
}

/// A server over a new database, with a catalog of one modality and one procedure.
pub(crate) struct House {
    pub(crate) server: Server,
    pub(crate) client: Client,
    pub(crate) tenant: Uuid,
    pub(crate) procedure: String,
    /// Dropped last: the server has to be gone by then.
    pub(crate) database: Database,
}

impl House {
    pub(crate) async fn open(engine: Engine) -> Result<Self> {
        let database = Database::new(engine).await?;
        let server = Server::start(&database, &[]).await?;
        let tenant = fresh();
        let client = Client::dev(&server.base, tenant);
        let procedure = catalog(&client).await?;
        Ok(Self {
            server,
            client,
            tenant,
            procedure,
            database,
        })
    }

    /// A new order's body.
    pub(crate) fn order(&self) -> serde_json::Value {
        json!({
            "patient_id": fresh(), "imaging_procedure_id": self.procedure,
            "indication": "rule out acute stroke",
        })
    }
}

/// CT, and a head CT; returns the procedure's id.
pub(crate) async fn catalog(client: &Client) -> Result<String> {
    let modality = json!({ "code": "CT", "name": "Computed tomography" });
    let modality = client.post("/imaging/modalities", &modality).await?;
    assert_eq!(modality.status, 201, "{modality:?}");
    let procedure =
        json!({ "code": "CT_HEAD", "name": "CT head", "modality_id": modality.text_at("/id") });
    let procedure = client.post("/imaging/procedures", &procedure).await?;
    assert_eq!(procedure.status, 201, "{procedure:?}");
    Ok(procedure.text_at("/id"))
}
