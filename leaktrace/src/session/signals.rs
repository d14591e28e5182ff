//! Ctrl-C: the first one ends with a report, the second one at once.

use std::io;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// What a shell expects of a program that Ctrl-C has ended: 128 and the number of `SIGINT`.
pub(crate) const INTERRUPTED: u8 = 130;

/// Starts to listen. The receiver gets the first `SIGINT`, `SIGTERM` or `SIGHUP`; the second ends this process,
/// whatever it is doing: the kernel then takes the probes away.
pub(super) fn listen() -> io::Result<oneshot::Receiver<()>> {
    let (first, received) = oneshot::channel();
    // A thread and a runtime of its own, because the main one may be waiting for a system call.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let signals = {
        let _inside = runtime.enter();
        Signals::register()?
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(run(signals, first));
    })?;
    Ok(received)
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
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
