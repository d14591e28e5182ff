//! Ctrl-C: the first one ends with a report, the second one at once. Ctrl-Z: the probes go first.

use std::io;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// What a shell expects of a program that Ctrl-C has ended: 128 and the number of `SIGINT`.
pub(crate) const INTERRUPTED: u8 = 130;

/// How long we go on after Ctrl-Z if whoever takes the probes away does not get to it. Their leases end soon anyway.
const SUSPEND_WITHIN: Duration = Duration::from_millis(500);

/// What the user wants.
pub(super) struct Wishes {
    /// To end.
    pub(super) end: oneshot::Receiver<()>,
    /// To stop for a while; dropped when that will be done.
    pub(super) suspend: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
}

/// Stops this process until `SIGCONT`.
pub(super) fn suspend() {
    // It can only fail for a process that is not there.
    _ = kill_process(getpid(), Signal::STOP);
}

/// Starts to listen. `end` gets the first `SIGINT`, `SIGTERM` or `SIGHUP`; the second ends this process,
/// whatever it is doing: the kernel then takes the probes away.
pub(super) fn listen() -> io::Result<Wishes> {
    let (first, end) = oneshot::channel();
    let (to_suspend, suspend) = mpsc::unbounded_channel();
    // A thread and a runtime of its own, because the main one may be waiting for a system call.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (signals, stops) = {
        let _inside = runtime.enter();
        (Signals::register()?, signal(SignalKind::from_raw(Signal::TSTP.as_raw()))?)
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async { tokio::join!(run(signals, first), run_suspensions(stops, to_suspend)) });
    })?;
    Ok(Wishes { end, suspend })
}

struct Signals {
    interrupt: SignalStream,
    terminate: SignalStream,
    hang_up: SignalStream,
}

impl Signals {
    fn register() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}

async fn run(mut signals: Signals, first: oneshot::Sender<()>) {
    signals.next().await;
    // Nobody may be listening any more; then the second one decides.
    _ = first.send(());
    signals.next().await;
    std::process::exit(INTERRUPTED.into());
}

async fn run_suspensions(mut stops: SignalStream, to_suspend: mpsc::UnboundedSender<oneshot::Sender<()>>) {
    while stops.recv().await.is_some() {
        let (done, is_done) = oneshot::channel();
        let is_asked = to_suspend.send(done).is_ok();
        if !is_asked || timeout(SUSPEND_WITHIN, is_done).await.is_err() {
            suspend();
        }
    }
}
