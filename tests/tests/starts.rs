//! Ring 2: whatever happens while leaktrace starts, a signal or a limit of the system, ends it in time and as it should,
//! and leaves nothing in the target.

use std::time::{Duration, Instant};

use leaktrace_tests::leaktrace::{Running, command};
use leaktrace_tests::poll::{PATIENCE, poll_until};
use leaktrace_tests::privilege::can_probe;
use leaktrace_tests::text::patched_places;
use leaktrace_tests::{Mode, Target, Version};
use rustix::process::Signal;

/// How many times it is started, and the time over which the moments of the signals are spread.
const STARTS: u32 = 50;
const START: Duration = Duration::from_millis(200);

/// How long it may take to end, on a machine with other things to do.
const SOON: Duration = Duration::from_secs(2);

#[test]
fn a_signal_at_any_moment_of_the_start_ends_it_as_a_signal_does() {
    if !can_probe() {
        return;
    }
    let target = Target::start(Version::NEWEST, Mode::Plain, "leak_chan_send=3");
    let ends = [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)];
    for (start, (signal, status)) in (0..STARTS).zip(ends.into_iter().cycle()) {
        let began = Instant::now();
        let running = Running::start(command(&format!("--pid {}", target.pid())));
        let moment = START * start / STARTS;
        poll_until(PATIENCE, "its moment", || (began.elapsed() >= moment).then_some(()));
        running.signal(signal);
        let signalled = Instant::now();
        let outcome = running.finish();
        let took = signalled.elapsed();
        assert!(took < SOON, "{signal:?} after {moment:?}: {took:?}");
        // With a report it has done what it was asked for; without a status it was the signal's own doing.
        let is_right = match outcome.code {
            Some(0) => !outcome.stdout.is_empty(),
            Some(code) => code == status && outcome.stdout.is_empty(),
            None => outcome.stdout.is_empty(),
        };
        assert!(is_right && outcome.stderr.is_empty(), "{signal:?} after {moment:?}: {outcome:?}");
    }
    poll_until(PATIENCE, "the kernel takes the probes out", || {
        patched_places(target.pid()).unwrap().is_empty().then_some(())
    });
}
