//! A server does not accept calls without a token unless the configuration clearly allows them.

use std::fs::{Permissions, set_permissions, write};
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Result, ensure};
use roentgen_tests::server::program;
use roentgen_tests::{EngineKind, Server, TestClient, TestDatabase};

use crate::faults::run;
use crate::test_app::{MASTER_KEY, SECRET, fresh, on_both_engines, serve};

on_both_engines!(
    a_setting_of_production_without_the_secret_is_refused,
    a_mistyped_name_in_the_environment_is_named,
    a_database_that_was_served_with_tokens_remembers_it,
    an_audience_is_needed_unless_any_is_taken,
    secrets_are_read_from_files,
    tools_need_no_secret,
);

async fn a_setting_of_production_without_the_secret_is_refused(engine: EngineKind) -> Result<()> {
    let database = TestDatabase::new(engine).await?;
    let file = database.directory().join("master-key");
    let file = file.display().to_string();
    let settings: [&[&str]; 7] = [
        &["--master-key", MASTER_KEY],
        &["--master-key-file", &file],
        &["--database", "postgres://127.0.0.1/never"],
        &["--nats", "nats://127.0.0.1:9"],
        &["--jwt-issuer", "us"],
        &["--jwt-audience", "roentgen"],
        &["--any-audience"],
    ];
    for setting in settings {
        for command in [
            &["serve"][..],
            &["demo", "--once"],
            &["token", "--role", "admin"],
        ] {
            let ran = run(&database, &[command, setting].concat())?;
            let named = ran.printed.contains("--jwt-secret: is needed with --");
            ensure!(
                ran.code == Some(64) && named,
                "{command:?} {setting:?}: {}",
                ran.printed
            );
        }
    }
    Ok(())
}

async fn a_mistyped_name_in_the_environment_is_named(engine: EngineKind) -> Result<()> {
    let database = TestDatabase::new(engine).await?;
    let mut serve = program(&database);
    serve
        .args(["serve", "--dev"])
        .env("ROENTGEN_JWT_SECERT", SECRET);
    let refused = serve.output()?;
    let said = String::from_utf8(refused.stderr)?;
    ensure!(refused.status.code() == Some(64), "{said}");
    let meant = "unknown environment variable ROENTGEN_JWT_SECERT; did you mean \
                 ROENTGEN_JWT_SECRET?";
    ensure!(said.contains(meant) && !said.contains(SECRET), "{said}");
    Ok(())
}

async fn a_database_that_was_served_with_tokens_remembers_it(engine: EngineKind) -> Result<()> {
    let database = TestDatabase::new(engine).await?;
    let guarded = ["--master-key", MASTER_KEY, "--any-audience"];
    serve(&database, &guarded).await?.terminate()?;
    // The key is in the place of the `--dev` key, so that only the marker prevents the start.
    let key = match engine {
        EngineKind::Sqlite => database.directory().join("dev-master-key"),
        EngineKind::Postgres => database.directory().join("data").join("dev-master-key"),
    };
    std::fs::create_dir_all(key.parent().unwrap_or(&key))?;
    write(&key, MASTER_KEY)?;
    set_permissions(&key, Permissions::from_mode(0o600))?;
    if matches!(engine, EngineKind::Sqlite) {
        let ran = run(&database, &["serve"])?;
        let named = ran.printed.contains("served with tokens before");
        ensure!(ran.code == Some(64) && named, "{}", ran.printed);
    }
    let open = Server::start(&database, &["--dev"]).await?;
    let answer = TestClient::dev(&open.base, fresh())
        .get("/imaging/orders")
        .await?;
    ensure!(answer.status == 200, "{answer:?}");
    ensure!(
        open.logged()?.contains("server.without_tokens"),
        "no warning"
    );
    Ok(())
}

async fn an_audience_is_needed_unless_any_is_taken(engine: EngineKind) -> Result<()> {
    let database = TestDatabase::new(engine).await?;
    let keys = ["serve", "--master-key", MASTER_KEY, "--jwt-secret", SECRET];
    let both = ["--any-audience", "--jwt-audience", "roentgen"];
    for (more, named) in [(&[][..], "--jwt-audience"), (&both, "--any-audience")] {
        let ran = run(&database, &[&keys[..], more].concat())?;
        ensure!(ran.code == Some(64), "{more:?}: {}", ran.printed);
        ensure!(ran.printed.contains(named), "{more:?}: {}", ran.printed);
    }
    Ok(())
}

async fn secrets_are_read_from_files(engine: EngineKind) -> Result<()> {
    let database = TestDatabase::new(engine).await?;
    let place = |name: &str, text: &str, mode: u32| -> Result<String> {
        let path = database.directory().join(name);
        write(&path, format!("{text}\n"))?;
        set_permissions(&path, Permissions::from_mode(mode))?;
        Ok(path.display().to_string())
    };
    let secret = place("secret", SECRET, 0o400)?;
    let key = place("key", MASTER_KEY, 0o600)?;
    let open = place("open", SECRET, 0o644)?;
    let files = ["--jwt-secret-file", &secret, "--master-key-file", &key];
    let server = Server::start(&database, &[&files[..], &["--any-audience"]].concat()).await?;
    let token = crate::test_app::token(&database, &["admin"], Some(fresh()))?;
    let answer = TestClient::new(&server.base)
        .bearer(&token)
        .get("/imaging/orders")
        .await?;
    ensure!(answer.status == 200, "{answer:?}");

    let missing = database.directory().join("nothing").display().to_string();
    for (wrong, named) in [
        (
            ["--jwt-secret-file", &open],
            "is open to others than its owner",
        ),
        (["--jwt-secret-file", &missing], "--jwt-secret-file"),
        (["--master-key-file", &secret], "--master-key"),
    ] {
        let ran = run(&database, &[&["serve", "--dev"], &wrong[..]].concat())?;
        ensure!(ran.code == Some(64), "{wrong:?}: {}", ran.printed);
        ensure!(ran.printed.contains(named), "{wrong:?}: {}", ran.printed);
    }
    let twice = [
        "serve",
        "--dev",
        "--jwt-secret",
        SECRET,
        "--jwt-secret-file",
        &secret,
    ];
    let ran = run(&database, &twice)?;
    let named = ran.printed.contains("cannot be given with --jwt-secret");
    ensure!(ran.code == Some(64) && named, "{}", ran.printed);
    Ok(())
}

async fn tools_need_no_secret(engine: EngineKind) -> Result<()> {
    let database = TestDatabase::new(engine).await?;
    for tool in [
        &["migrate"][..],
        &["verify"],
        &["projections"],
        &["export", "--format", "ndjson"],
    ] {
        let ran = run(&database, tool)?;
        ensure!(ran.code == Some(0), "{tool:?}: {}", ran.printed);
    }
    for made_up in ["dev-jwt-secret", "data/dev-jwt-secret", "dev-master-key"] {
        ensure!(
            !database.directory().join(made_up).exists(),
            "a tool made {made_up}"
        );
    }
    Ok(())
}
