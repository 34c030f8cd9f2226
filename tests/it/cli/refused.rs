//! When the configuration is wrong: all of it is named at once, before any port is bound, and the exit code is 64.

use anyhow::Result;
use roentgen_tests::server::program;
use roentgen_tests::{Database, Engine};

use crate::story::{SECRET, on_both_engines};

on_both_engines!(names_all_that_is_wrong);

async fn names_all_that_is_wrong(engine: Engine) -> Result<()> {
    let database = Database::new(engine).await?;
    let cases: [(&[&str], &[&str]); 11] = [
        (&["serve", "--dev", "--listen", "0.0.0.0:0"], &["--listen"]),
        (&["serve", "--listen", "0.0.0.0:0"], &["--listen"]),
        (&["serve", "--listen", "[::]:0"], &["--listen"]),
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
