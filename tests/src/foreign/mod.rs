//! Go programs that nobody here wrote, out of other people's packages, running on the loopback interface and in a
//! directory of their own, with something to do.

mod network;
mod programs;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::http;
use crate::packages::Package;
use crate::poll::{PATIENCE, poll_until};
use crate::traceback::{self, GoroutineText};

pub use programs::ALL;

/// How many threads give a program something to do.
const CLIENTS: u64 = 4;

/// A program, where it comes from and how it is run.
pub struct Foreign {
    /// What it is called here.
    pub name: &'static str,
    /// Which kind of build it is, in words.
    pub build: &'static str,
    /// The package that has it.
    pub package: Package,
    /// Its binary in that package.
    binary: &'static str,
    /// Prepares its directory and says how it is started.
    start: fn(&Place) -> Result<Command>,
    /// Does something with it once; fails until it is ready.
    load: fn(&Place, u64) -> Result<()>,
    /// Which of its ports has `/debug/pprof`.
    pprof: Option<usize>,
}

/// Where a program runs.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its binary.
    pub binary: PathBuf,
    /// Its directory.
    pub home: PathBuf,
    /// Its ports on the loopback interface.
    pub ports: [u16; 2],
}

impl Place {
    /// Writes a file of the program's directory.
    fn write(&self, name: &str, contents: &str) -> Result<PathBuf> {
        let path = self.home.join(name);
        fs::create_dir_all(path.parent().context("a file is in a directory")?)?;
        fs::write(&path, contents).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// A command that runs the program in its directory, which is also its home.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.current_dir(&self.home).env("HOME", &self.home);
        command.env_remove("GODEBUG").env("XDG_DATA_HOME", &self.home).env("XDG_CONFIG_HOME", &self.home);
        command
    }
}

impl Foreign {
    /// Fetches the program if it is not there yet, and returns the path of its binary.
    pub fn fetch(&self, say: &mut dyn FnMut(&str)) -> Result<PathBuf> {
        let binary = self.package.fetch(say)?.join(self.binary);
        ensure!(binary.exists(), "{} has no {}", self.package, self.binary);
        Ok(binary)
    }

    /// Starts the program and waits until it does what it is asked to.
    ///
    /// # Panics
    /// When it does not become ready.
    #[track_caller]
    pub fn start(&'static self) -> Service {
        let binary = self.fetch(&mut |what| eprintln!("{what}"));
        let service = binary.and_then(|binary| Service::start(self, &binary));
        let mut service = service.unwrap_or_else(|error| panic!("cannot start {}: {error:#}", self.name));
        service.await_ready();
        service
    }
}

/// A foreign program while it runs; killed when this is dropped.
pub struct Service {
    program: &'static Foreign,
    place: Place,
    child: Child,
    home: TempDir,
}

impl Service {
    fn start(program: &'static Foreign, binary: &Path) -> Result<Self> {
        let home = tempfile::tempdir()?;
        let ports = [http::free_port()?, http::free_port()?];
        let place = Place { binary: binary.to_owned(), home: home.path().to_owned(), ports };
        let log = File::create(home.path().join("log"))?;
        let mut command = (program.start)(&place)?;
        // Some end when nobody is there to type any more.
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("cannot run {}", binary.display()))?;
        Ok(Self { program, place, child, home })
    }

    #[track_caller]
    fn await_ready(&mut self) {
        let name = self.program.name;
        poll_until(PATIENCE, name, || {
            let ready = (self.program.load)(&self.place, 0);
            let ended = self.child.try_wait().expect("it is our child");
            assert!(ended.is_none(), "{name} has ended ({ended:?}, {ready:?}):\n{}", self.log());
            ready.ok()
        });
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    /// What it says of its own goroutines, if it says anything.
    ///
    /// # Panics
    /// When it does not answer.
    #[track_caller]
    pub fn own_goroutines(&self) -> Option<Vec<GoroutineText>> {
        let port = self.place.ports[self.program.pprof?];
        let text = http::get(port, "/debug/pprof/goroutine?debug=2");
        let text = text.unwrap_or_else(|error| panic!("{}: {error:#}", self.program.name));
        Some(traceback::parse(&text))
    }

    /// Gives it something to do until the result is dropped, and waits until it has done some of it.
    ///
    /// # Panics
    /// When it does none of it.
    #[track_caller]
    pub fn load(&self) -> Load {
        let load = Load::start(self.program.load, &self.place);
        load.await_progress();
        load
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It can only have ended by itself: nothing is left to do then.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Clients of a program.
pub struct Load {
    done: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(once: fn(&Place, u64) -> Result<()>, place: &Place) -> Self {
        let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let client = |number| {
            let (done, stop, place) = (Arc::clone(&done), Arc::clone(&stop), place.clone());
            std::thread::spawn(move || {
                for round in (number..).step_by(usize::try_from(CLIENTS).unwrap_or(1)) {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    done.fetch_add(u64::from(once(&place, round).is_ok()), Ordering::Relaxed);
                }
            })
        };
        let clients = (1..=CLIENTS).map(client).collect();
        Self { done, stop, clients }
    }

    /// Waits until the program has done more than it has so far.
    ///
    /// # Panics
    /// When it does nothing any more.
    #[track_caller]
    pub fn await_progress(&self) {
        let goal = self.done.load(Ordering::Relaxed) + CLIENTS;
        let done = || self.done.load(Ordering::Relaxed) >= goal;
        poll_until(PATIENCE, "the program does what it is asked to", || done().then_some(()));
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            // A client that panicked has said so.
            drop(client.join());
        }
    }
}
