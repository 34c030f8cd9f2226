//! Invalid configuration: all errors are reported together, before any port is bound, with exit code 64.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Result;
use roentgen_tests::server::program;
use roentgen_tests::{EngineKind, TestDatabase};

use crate::test_app::{MASTER_KEY, SECRET, on_both_engines};

on_both_engines!(
    reports_all_configuration_errors,
    weak_keys_are_named,
    secrets_that_others_can_read_are_named,
);

async fn reports_all_configuration_errors(engine: EngineKind) -> Result<()> {
    let database = TestDatabase::new(engine).await?;
    let cases: [(&[&str], &[&str]); 11] = [
        (&["serve", "--dev", "--listen", "0.0.0.0:0"], &["--listen"]),
        (&["demo", "--dev", "--listen", "nowhere"], &["--listen"]),
        (&["serve", "--dev", "--listen", "[::]:0"], &["--listen"]),
        (
            &[
                "serve",
                "--dev",
                "--listen",
                "192.0.2.1:0",
                "--jwt-secret",
                SECRET,
            ],
            &["--listen"],
        ),
        (&["serve", "--jwt-secret", SECRET], &["--master-key"]),
        (
            &["serve", "--jwt-secret", "short", "--master-key", "short"],
            &["--jwt-secret", "--master-key"],
        ),
        (
            &[
                "serve",
                "--dev",
                "--database",
                "mysql://x",
                "--listen",
                "0.0.0.0:0",
                "--log",
                "[[",
                "--master-key",
                "AAAA",
                "--jwt-secret",
                "tiny",
            ],
            &[
                "--database",
                "--listen",
                "--log",
                "--master-key",
                "--jwt-secret",
            ],
        ),
        (
            &["serve", "--listen", "nowhere", "--database", "x"],
            &["--listen", "--database"],
        ),
        (&["serve", "--unheard-of"], &["--unheard-of"]),
        (&["unheard-of"], &["unheard-of"]),
        (&[], &["Usage"]),
    ];
    for (arguments, named) in cases {
        let refused = program(&database).args(arguments).output()?;
        let said = String::from_utf8(refused.stderr)?;
        assert_eq!(refused.status.code(), Some(64), "{arguments:?}: {said}");
        assert!(refused.stdout.is_empty(), "{arguments:?}");
        for name in named {
            assert!(said.contains(name), "{name} is not named: {said}");
        }
        for secret in ["short", "tiny", SECRET] {
            assert!(!said.contains(secret), "a secret is told: {said}");
        }
    }
    Ok(())
}

/// One run of the program per weak value, in each setting that contains a secret.
async fn weak_keys_are_named(engine: EngineKind) -> Result<()> {
    let database = TestDatabase::new(engine).await?;
    let zeros = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let spaces = " ".repeat(32);
    let letters = "abc".repeat(20);
    for (master, secret, named) in [
        (zeros, SECRET, "--master-key: the master key is weak"),
        (MASTER_KEY, &spaces, "--jwt-secret: is weak"),
        (MASTER_KEY, &letters, "--jwt-secret: is weak"),
    ] {
        let arguments = ["serve", "--master-key", master, "--jwt-secret", secret];
        let refused = program(&database).args(arguments).output()?;
        let said = String::from_utf8(refused.stderr)?;
        assert_eq!(refused.status.code(), Some(64), "{said}");
        assert!(said.contains(named), "{named} is not in: {said}");
        assert!(!said.contains(master) && !said.contains(secret), "{said}");
    }
    Ok(())
}

async fn secrets_that_others_can_read_are_named(engine: EngineKind) -> Result<()> {
    let database = TestDatabase::new(engine).await?;
    let directory = database.directory().join("data");
    std::fs::create_dir(&directory)?;
    let secret = directory.join("secret");
    std::fs::write(&secret, "hunter2")?;
    let link = directory.join("link");
    std::os::unix::fs::symlink(&secret, &link)?;
    let place = |path: &Path| path.display().to_string();
    for (mode, path, named) in [
        (0o640, &secret, "chmod 600"),
        (0o604, &secret, "chmod 600"),
        (0o600, &link, "symbolic link"),
    ] {
        std::fs::set_permissions(&secret, Permissions::from_mode(mode))?;
        let path = place(path);
        for flag in ["--nats-credentials", "--nats-nkey", "--event-key-file"] {
            let arguments = [
                "serve",
                "--dev",
                "--nats",
                "nats://127.0.0.1:1",
                flag,
                &path,
            ];
            is_refused(&database, &arguments, &[flag, named])?;
        }
        let arguments = [
            "serve",
            "--dev",
            "--nats",
            "nats://127.0.0.1:1",
            "--nats-certificate",
            "/dev/null",
            "--nats-key",
            &path,
        ];
        is_refused(&database, &arguments, &["--nats-key", named])?;
        planted(&database, mode, &secret, named)?;
    }
    Ok(())
}

fn is_refused(database: &TestDatabase, arguments: &[&str], named: &[&str]) -> Result<()> {
    let refused = program(database).args(arguments).output()?;
    let said = String::from_utf8(refused.stderr)?;
    assert_eq!(refused.status.code(), Some(64), "{arguments:?}: {said}");
    for name in named {
        assert!(said.contains(name), "{name} is not named: {said}");
    }
    assert!(!said.contains("hunter2"), "{said}");
    Ok(())
}

/// Checks a `--dev` key file that was created by another user, or is readable by others.
fn planted(database: &TestDatabase, mode: u32, secret: &Path, named: &str) -> Result<()> {
    let beside = match database.engine {
        EngineKind::Sqlite => database.directory(),
        EngineKind::Postgres => database.directory().join("data"),
    };
    let key = beside.join("dev-master-key");
    if mode == 0o600 {
        std::os::unix::fs::symlink(secret, &key)?;
    } else {
        std::fs::write(&key, "hunter2")?;
        std::fs::set_permissions(&key, Permissions::from_mode(mode))?;
    }
    is_refused(
        database,
        &["config", "--jwt-secret", SECRET, "--dev"],
        &["dev-master-key", named],
    )?;
    Ok(std::fs::remove_file(&key)?)
}
