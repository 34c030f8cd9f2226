//! A PostgreSQL server started for one test, which can be restarted.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;

use crate::certificate::Certificate;
use crate::nats::free_port;
use crate::poll;

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(60);
/// Debian's directory of PostgreSQL programs, with one subdirectory per version.
const INSTALLED: &str = "/usr/lib/postgresql";
/// User that the server runs as if the tests run as root, which PostgreSQL does not allow.
const USER: &str = "postgres";

/// Shutdown mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Ends connections and writes everything to disk.
    Fast,
    /// Stops as in a crash; the next start has to recover.
    Immediate,
}

/// PostgreSQL server in a temporary directory. Dropping it stops it.
#[derive(Debug)]
pub struct Postgres {
    directory: TempDir,
    port: u16,
    programs: PathBuf,
    child: Option<Child>,
}

impl Postgres {
    /// Starts an empty server on a free port.
    pub async fn start() -> Result<Self> {
        let mut postgres = Self {
            directory: tempfile::tempdir()?,
            port: free_port()?,
            programs: programs()?,
            child: None,
        };
        postgres.initialize()?;
        postgres.start_again().await?;
        Ok(postgres)
    }

    /// Starts a server that accepts connections with TLS only.
    pub async fn start_with_tls() -> Result<Self> {
        let mut postgres = Self {
            directory: tempfile::tempdir()?,
            port: free_port()?,
            programs: programs()?,
            child: None,
        };
        let made = Certificate::make(postgres.directory.path(), "server")?;
        postgres.initialize()?;
        postgres.require_tls(&made)?;
        postgres.start_again().await?;
        Ok(postgres)
    }

    fn require_tls(&self, made: &Certificate) -> Result<()> {
        let data = self.path("data");
        let path = data.join("postgresql.conf");
        let settings = format!(
            "{}ssl = on\nssl_cert_file = '{}'\nssl_key_file = '{}'\n",
            std::fs::read_to_string(&path)?,
            made.certificate.display(),
            made.key.display()
        );
        std::fs::write(path, settings)?;
        let only_tls = "hostssl all all 127.0.0.1/32 trust\n";
        Ok(std::fs::write(data.join("pg_hba.conf"), only_tls)?)
    }

    /// Returns the path of the server's certificate, which exists only with TLS.
    pub fn certificate(&self) -> PathBuf {
        self.path("server.pem")
    }

    /// Returns the port on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns the URL for `--database`.
    pub fn url(&self) -> String {
        format!("postgres://roentgen@127.0.0.1:{}/postgres", self.port)
    }

    /// Stops the server and starts it again with its data.
    pub async fn restart(&mut self, stop: Stop) -> Result<()> {
        self.stop(stop).await?;
        self.start_again().await
    }

    /// Stops the server and waits for it to end.
    pub async fn stop(&mut self, stop: Stop) -> Result<()> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        signal(&child, stop)?;
        let ended = || std::future::ready(child.try_wait().is_ok_and(|status| status.is_some()));
        let waited = poll::wait_until("PostgreSQL's end", STOP, ended, |flag| *flag);
        waited.await.map(drop)
    }

    /// Starts the server on its port.
    pub async fn start_again(&mut self) -> Result<()> {
        let log = self.path("postgres.log");
        let file = File::options().create(true).append(true).open(&log)?;
        let mut command = self.program("postgres");
        command
            .arg("-D")
            .arg(self.path("data"))
            .stdout(Stdio::null())
            .stderr(Stdio::from(file))
            // A separate process group: a signal that interrupts the tests must not stop the server first.
            .process_group(0);
        self.child = Some(command.spawn().context("postgres does not start")?);
        // Boxed because a TLS handshake makes the future large.
        let asked = async || {
            let url = self.url();
            Box::pin(PgConnection::connect(&url)).await.map(drop)
        };
        let up = poll::wait_until("PostgreSQL", START, asked, Result::is_ok).await;
        if up.is_err() {
            bail!("PostgreSQL: {}", std::fs::read_to_string(log)?);
        }
        Ok(())
    }

    fn initialize(&self) -> Result<()> {
        let data = self.path("data");
        std::fs::create_dir(&data)?;
        if is_root() {
            own(self.directory.path())?;
        }
        let mut command = self.program("initdb");
        command
            .arg("--pgdata")
            .arg(&data)
            .args(["--username=roentgen", "--auth=trust", "--encoding=UTF8"])
            .args(["--locale=C.UTF-8", "--no-sync"]);
        let made = command.output().context("initdb does not start")?;
        let said = String::from_utf8_lossy(&made.stderr);
        ensure!(made.status.success(), "initdb: {said}");
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = ''\n",
            self.port
        );
        let path = data.join("postgresql.conf");
        let given = std::fs::read_to_string(&path)?;
        Ok(std::fs::write(path, given + &settings)?)
    }

    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            let user = format!("--reuid={USER}");
            let group = format!("--regid={USER}");
            command.args([&user, &group, "--clear-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .current_dir(self.directory.path())
            .stdin(Stdio::null());
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = signal(&child, Stop::Immediate);
            let _ = child.wait();
        }
    }
}

/// PostgreSQL takes INT for a fast shutdown and QUIT for an immediate one.
fn signal(child: &Child, stop: Stop) -> Result<()> {
    let name = match stop {
        Stop::Fast => "-INT",
        Stop::Immediate => "-QUIT",
    };
    let sent = Command::new("kill")
        .args([name, &child.id().to_string()])
        .status()?;
    ensure!(sent.success(), "{stop:?}: no signal was sent");
    Ok(())
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

fn own(directory: &Path) -> Result<()> {
    let owned = Command::new("chown")
        .args(["-R", USER])
        .arg(directory)
        .status()?;
    ensure!(
        owned.success(),
        "there is no user {USER} to run PostgreSQL as"
    );
    Ok(())
}

/// Returns the directory of the programs: the newest version under [`INSTALLED`], or else from `PATH`.
fn programs() -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(INSTALLED).into_iter().flatten() {
        let entry = entry?;
        let version = entry.file_name().to_string_lossy().parse();
        let programs = entry.path().join("bin");
        if programs.join("initdb").exists() {
            found.push((version.unwrap_or_default(), programs));
        }
    }
    found.sort();
    if let Some((_, newest)) = found.pop() {
        return Ok(newest);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path);
    let place = places.find(|path| path.join("initdb").exists());
    place.context("the tests need PostgreSQL's initdb")
}
