use super::*;
use crate::engine::EventLog as _;
use sqlx::Connection as _;
use sqlx::SqliteConnection;

async fn three_events() -> SqliteFixture {
    let bed = SqliteFixture::new().await;
    bed.send(&[creating(stream(1), 2), creating(stream(2), 1)])
        .await;
    bed
}

/// Runs SQL on a connection without the engine's pragmas, such as a shell's.
async fn from_a_shell(bed: &SqliteFixture, sql: &'static str) -> Result<(), String> {
    let url = format!(
        "sqlite://{}",
        bed.directory.path().join("roentgen.db").display()
    );
    let mut shell = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query(sql)
        .execute(&mut shell)
        .await
        .map(drop)
        .map_err(|error| error.to_string())
}

fn assert_refused(outcome: Result<(), String>, rule: &str) {
    let message = outcome.unwrap_err();
    assert!(message.contains(rule), "{message}");
}

const REPLACE_POSITION: &str = "INSERT OR REPLACE INTO events SELECT 2, tenant, stream_type, \
     stream_id, 99, event_id, type, schema_version, recorded_at, '{}', sealed, metadata, leaf, hash \
     FROM events WHERE position = 2";
const REPLACE_VERSION: &str = "INSERT OR REPLACE INTO events SELECT 4, tenant, stream_type, \
     stream_id, version, event_id, type, schema_version, recorded_at, '{}', sealed, metadata, leaf, \
     hash FROM events WHERE position = 2";
const LEAVE_A_GAP: &str = "INSERT INTO events SELECT 9, tenant, stream_type, stream_id, 99, \
     event_id, type, schema_version, recorded_at, payload, sealed, metadata, leaf, hash \
     FROM events WHERE position = 2";

mod append_only_guards {
    use super::*;

    #[tokio::test]
    async fn refuses_an_update() {
        let bed = three_events().await;
        assert_refused(
            bed.tamper("UPDATE events SET payload = '{}'").await,
            "no UPDATE",
        );
    }

    #[tokio::test]
    async fn refuses_a_delete() {
        let bed = three_events().await;
        assert_refused(
            bed.tamper("DELETE FROM events WHERE position = 3").await,
            "no DELETE",
        );
        assert_refused(bed.tamper("DELETE FROM streams").await, "no DELETE");
        assert_eq!(bed.head().await, 3);
    }

    #[tokio::test]
    async fn refuses_to_replace_from_a_shell() {
        let bed = three_events().await;
        let position = from_a_shell(&bed, REPLACE_POSITION).await;
        assert_refused(position, "position must be the next one");
        let version = from_a_shell(&bed, REPLACE_VERSION).await;
        assert_refused(version, "duplicate stream version");
        assert_refused(
            from_a_shell(&bed, LEAVE_A_GAP).await,
            "position must be the next one",
        );
        let second = bed.engine.event_at(2).await.unwrap().unwrap();
        assert_ne!(second.payload, "{}");
        assert_eq!(bed.head().await, 3);
    }

    /// Without the insert triggers, `INSERT OR REPLACE` still fires the DELETE trigger on the engine's connections.
    #[tokio::test]
    async fn recursive_triggers_stand_behind() {
        let bed = three_events().await;
        bed.tamper("DROP TRIGGER events_go_to_the_end; DROP TRIGGER events_take_free_versions")
            .await
            .unwrap();
        assert_refused(bed.tamper(REPLACE_POSITION).await, "no DELETE");
        assert_refused(bed.tamper(REPLACE_VERSION).await, "no DELETE");
    }
}

mod tamper_detection {
    use super::*;

    async fn disagrees_after(sql: &str) -> Option<u64> {
        let bed = three_events().await;
        bed.send(&[writing(&[(stream(1), 2)]), creating(stream(3), 3)])
            .await;
        assert_eq!(bed.engine.first_stream_mismatch().await.unwrap(), None);
        bed.tamper("DROP TRIGGER events_are_never_deleted; DROP TRIGGER events_are_never_updated")
            .await
            .unwrap();
        bed.tamper(sql).await.unwrap();
        bed.engine.first_stream_mismatch().await.unwrap()
    }

    #[tokio::test]
    async fn a_removed_tail_is_named_by_its_first_position() {
        for (first, sql) in [
            (3, "DELETE FROM events WHERE position > 2"),
            (6, "DELETE FROM events WHERE position > 5"),
            (7, "DELETE FROM events WHERE position > 6"),
            (1, "DELETE FROM events"),
        ] {
            assert_eq!(disagrees_after(sql).await, Some(first), "{sql}");
        }
    }

    #[tokio::test]
    async fn an_event_inserted_by_hand_is_named() {
        let next_version = "INSERT INTO events SELECT 8, tenant, stream_type, stream_id, 4, \
             event_id, type, schema_version, recorded_at, payload, sealed, metadata, leaf, hash \
             FROM events WHERE position = 4";
        assert_eq!(disagrees_after(next_version).await, Some(8));
        let new_stream = "INSERT INTO events SELECT 8, tenant, stream_type, zeroblob(16), 1, \
             event_id, type, schema_version, recorded_at, payload, sealed, metadata, leaf, hash \
             FROM events WHERE position = 4";
        assert_eq!(disagrees_after(new_stream).await, Some(8));
    }

    #[tokio::test]
    async fn a_removed_or_moved_event_is_named() {
        assert_eq!(
            disagrees_after("DELETE FROM events WHERE position = 4").await,
            Some(4)
        );
        let first = "DELETE FROM events WHERE position = 1";
        assert_eq!(disagrees_after(first).await, Some(1));
        let renumbered = "DELETE FROM events WHERE position = 3; \
             UPDATE events SET position = position - 1 WHERE position > 3";
        assert_eq!(disagrees_after(renumbered).await, Some(3));
    }

    #[tokio::test]
    async fn a_column_out_of_form_is_damage_with_its_position() {
        let bed = three_events().await;
        bed.tamper("DROP TRIGGER events_are_never_updated; UPDATE events SET leaf = x'00' WHERE position = 2")
            .await
            .unwrap();
        let damage = bed.engine.event_at(2).await.unwrap_err();
        assert_eq!(
            damage.to_string(),
            "corrupt stored data: column leaf at position 2"
        );
        assert!(bed.engine.event_at(3).await.is_ok());
    }
}
