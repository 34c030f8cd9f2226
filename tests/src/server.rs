//! A server as a separate process that can be killed.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::database::TestDatabase;
use crate::poll;

const START: Duration = Duration::from_secs(30);

/// Running server. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    /// Base URL, `http://127.0.0.1:PORT`.
    pub base: String,
    /// Path of its log, JSON lines.
    pub log: PathBuf,
    child: Child,
}

/// Returns the program with its database and directory; the caller adds a command.
pub fn program(database: &TestDatabase) -> Command {
    let mut command = Command::new(executable());
    command
        .current_dir(database.directory())
        .env("ROENTGEN_DATABASE", &database.url)
        .env("ROENTGEN_LISTEN", "127.0.0.1:0")
        .stdin(Stdio::null());
    command
}

/// Returns the program with a limit of open files that it cannot raise.
pub fn program_with_descriptors(database: &TestDatabase, descriptors: u32) -> Command {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!(r#"ulimit -n {descriptors} && exec "$0" "$@""#))
        .arg(executable())
        .current_dir(database.directory())
        .env("ROENTGEN_DATABASE", &database.url)
        .env("ROENTGEN_LISTEN", "127.0.0.1:0")
        .stdin(Stdio::null());
    command
}

fn executable() -> PathBuf {
    std::env::var_os("CARGO_BIN_EXE_roentgen-under-test")
        .or_else(|| std::env::var_os("NEXTEST_BIN_EXE_roentgen-under-test"))
        .map(PathBuf::from)
        .or_else(beside_the_test)
        .unwrap_or_else(|| PathBuf::from("roentgen-under-test"))
}

/// Returns `target/<profile>/roentgen-under-test` for the test binary `target/<profile>/deps/it-...`.
fn beside_the_test() -> Option<PathBuf> {
    let test = std::env::current_exe().ok()?;
    Some(test.parent()?.parent()?.join("roentgen-under-test"))
}

impl Server {
    /// Starts a server with these arguments and waits until it serves. It runs in `--dev` unless the arguments name a
    /// JWT secret.
    pub async fn start(database: &TestDatabase, arguments: &[&str]) -> Result<Self> {
        let says = |flag: &str| arguments.iter().any(|argument| argument.starts_with(flag));
        let dev = (!says("--dev") && !says("--jwt-secret")).then_some("--dev");
        Self::spawn(database, |command| {
            command.args(dev).args(arguments);
        })
        .await
    }

    /// Starts a server whose command `prepare` changes first.
    pub async fn spawn(
        database: &TestDatabase,
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        Self::spawn_program(program(database), database, prepare).await
    }

    /// Starts a server from this program.
    pub async fn spawn_program(
        mut command: Command,
        database: &TestDatabase,
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let (file, log) = tempfile::Builder::new()
            .prefix("server-")
            .suffix(".log")
            .tempfile_in(database.directory())?
            .keep()?;
        command
            .arg("serve")
            .stdout(Stdio::null())
            .stderr(Stdio::from(file));
        prepare(&mut command);
        let mut child = command.spawn().context("the server does not start")?;
        let waited = poll::wait_until(
            "the server's address",
            START,
            async || address(&log),
            Option::is_some,
        );
        let base = match waited.await {
            Ok(Some(address)) => format!("http://{address}"),
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                bail!(
                    "the server does not serve: {}",
                    std::fs::read_to_string(&log)?
                );
            }
        };
        Ok(Self { base, log, child })
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the resident memory of the process, in bytes (Linux: `VmRSS` of `proc(5)`).
    pub fn resident_bytes(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        Ok(kib.context("no VmRSS")?.parse::<u64>()? * 1024)
    }

    /// Sends SIGKILL and waits for the process to end.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Sends a signal by name: `STOP`, `CONT`, `TERM`.
    pub fn signal(&self, name: &str) -> Result<()> {
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.pid().to_string())
            .status()?;
        if !sent.success() {
            bail!("SIG{name} was not sent");
        }
        Ok(())
    }

    /// Sends SIGTERM and returns the exit code.
    pub fn terminate(self) -> Result<Option<i32>> {
        self.signal("TERM")?;
        self.wait()
    }

    /// Waits until the process ends, and returns the exit code.
    pub fn wait(mut self) -> Result<Option<i32>> {
        Ok(self.child.wait()?.code())
    }

    /// Returns everything logged so far.
    pub fn logged(&self) -> Result<String> {
        Ok(std::fs::read_to_string(&self.log)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn address(log: &PathBuf) -> Option<String> {
    use std::io::{BufRead as _, BufReader};
    let lines = BufReader::new(File::open(log).ok()?).lines();
    lines.map_while(Result::ok).find_map(|line| {
        let entry: Value = serde_json::from_str(&line).ok()?;
        let serving = entry.get("event")?.as_str()? == "server.started";
        serving.then(|| entry.get("address")?.as_str().map(str::to_owned))?
    })
}
