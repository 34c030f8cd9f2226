use proptest::prelude::*;
use sqlx::postgres::PgSslMode;

use super::*;

fn mode(url: &str) -> PgSslMode {
    parse(url).unwrap().get_ssl_mode()
}

#[test]
fn a_host_off_this_machine_is_verified_unless_the_url_says_otherwise() {
    for remote in [
        "postgres://app@db/roentgen",
        "postgres://app@192.0.2.1:5432/roentgen",
        "postgres://app@[2001:db8::1]/roentgen",
        "postgres:///roentgen?hostaddr=192.0.2.1",
        "postgres:///roentgen?host=db&sslrootcert=/ca.pem",
        "postgres://app@localhost.example/roentgen",
    ] {
        assert!(matches!(mode(remote), PgSslMode::VerifyFull), "{remote}");
    }
    for local in [
        "postgres://app@localhost/roentgen",
        "postgres://app@127.0.0.2/roentgen",
        "postgres://app@[::1]/roentgen",
        "postgres://app@%2Fvar%2Frun%2Fpostgresql/roentgen",
        "postgres:///roentgen?host=/var/run/postgresql",
    ] {
        assert!(matches!(mode(local), PgSslMode::Disable), "{local}");
    }
    let explicit = "postgres://app@db/roentgen?sslmode=disable";
    assert!(matches!(mode(explicit), PgSslMode::Disable));
    let explicit = "postgres://app@localhost/roentgen?sslmode=verify-full";
    assert!(matches!(mode(explicit), PgSslMode::VerifyFull));
}

#[test]
fn user_host_port_and_database_are_shown_and_nothing_else() {
    for (url, expected) in [
        (
            "postgres://app:hunter2@db:5433/roentgen",
            "postgres://app@db:5433/roentgen",
        ),
        (
            "postgresql://app:hun@ter2@db:5433/roentgen",
            "postgres://app@db:5433/roentgen",
        ),
        (
            "postgres://app@db:5433/roentgen?password=hunter2",
            "postgres://app@db:5433/roentgen",
        ),
        (
            "postgres://app@db:5433/roentgen?pass%77ord=hunter2&sslkey=/hunter2",
            "postgres://app@db:5433/roentgen",
        ),
        (
            "postgres://db:5433/roentgen?user=app&options=-c%20a.b%3Dhunter2",
            "postgres://app@db:5433/roentgen",
        ),
        (
            "postgres://app@%2Frun%2Fpg:5433/roentgen",
            "postgres://app@/run/pg:5433/roentgen",
        ),
    ] {
        assert_eq!(shown(url), expected);
    }
}

#[test]
fn what_is_no_url_of_a_database_is_rejected_without_its_text() {
    for (url, expected) in [
        ("postgres://u:a?b@h/db", InvalidPostgresUrl::Form),
        ("postgres://u:12?b@h/db", InvalidPostgresUrl::Form),
        ("postgres://u:12?password=b@h/db", InvalidPostgresUrl::Form),
        ("postgres://u:12#b@h/db", InvalidPostgresUrl::Form),
        ("postgres://u:12/b@h/db", InvalidPostgresUrl::Form),
        ("postgres:u:12", InvalidPostgresUrl::Form),
        (
            "postgres://u@h/db?passwort=hunter2",
            InvalidPostgresUrl::Parameter,
        ),
        ("postgres://u@h/db?hunter2", InvalidPostgresUrl::Parameter),
        (
            "postgres://u@h/db?sslmode=hunter2",
            InvalidPostgresUrl::Value,
        ),
        (
            "postgres://u@h/db?hostaddr=hunter2",
            InvalidPostgresUrl::Value,
        ),
    ] {
        let error = parse(url).unwrap_err();
        assert_eq!(error, expected, "{url}");
        assert!(!error.to_string().contains("hunter2"));
        assert_eq!(shown(url), "postgres://[unreadable]");
    }
}

const ODD: &str = "[a-zA-Z0-9:/?#@%&=+ \\[\\]\\\\;~^|'\"]{0,12}";

proptest! {
    /// A password in a URL, percent-encoded or not, is rejected or not shown.
    #[test]
    fn a_password_is_never_shown(start in ODD, end in ODD) {
        let password = format!("{start}Zq7Zq7{end}");
        let encoded: String = url::form_urlencoded::byte_serialize(password.as_bytes()).collect();
        for url in [
            format!("postgres://app:{password}@db:5432/roentgen"),
            format!("postgres://app:{encoded}@db:5432/roentgen"),
            format!("postgres://app@db/roentgen?password={password}"),
            format!("postgres://app@db/roentgen?pass%77ord={password}"),
            format!("postgres://app@db/roentgen?sslmode=disable&password={encoded}"),
            format!("postgres:///roentgen?user=app&host=db&pa%73sword={encoded}"),
        ] {
            let text = shown(&url);
            prop_assert!(!text.contains("Zq7Zq7"), "{url} is shown as {text}");
            if let Err(error) = parse(&url) {
                let told = format!("{error} {error:?}");
                prop_assert!(!told.contains("Zq7Zq7"));
            }
        }
    }
}
