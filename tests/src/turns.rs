//! When the threads of a process lose their turn on a CPU, by the kernel's own account.
//!
//! The kernel says at each switch where in it the thread was. In the middle of `__get_user_pages`, on behalf of
//! `process_vm_readv`, it holds the `mmap_lock` of the process that it reads, for as long as it waits for its next turn.

mod tracefs;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::fs;
use std::time::Duration;

use tracefs::Instance;

/// In a second there are some hundred switches, of which each takes some hundred bytes.
const KIB_PER_SECOND: u64 = 128;

/// Watches a process's threads.
pub struct Watch {
    instance: Instance,
    pid: u32,
    threads: BTreeSet<u32>,
}

impl Watch {
    /// Watches the threads of process `pid`, with room for so many seconds.
    ///
    /// # Panics
    /// When the kernel does not do so.
    #[track_caller]
    pub fn start(pid: u32, seconds: u64) -> Self {
        let made = Instance::new(&format!("leaktrace-tests-{pid}"));
        let instance = made.unwrap_or_else(|error| panic!("the kernel's tracing: {error:#}"));
        let watch = Self { instance, pid, threads: threads(pid) };
        let names: Vec<String> = watch.threads.iter().map(u32::to_string).collect();
        watch.set("buffer_size_kb", &(KIB_PER_SECOND * seconds.max(8)).to_string());
        watch.set("trace_clock", "mono");
        watch.set("options/stacktrace", "1");
        watch.set("options/event-fork", "1");
        watch.set("set_event_pid", &names.join(" "));
        watch.set("events/sched/sched_switch/enable", "1");
        watch
    }

    /// All turns that were lost until now.
    ///
    /// # Panics
    /// When it cannot be read, or there was not enough room.
    #[track_caller]
    pub fn finish(mut self) -> Vec<Lost> {
        self.set("events/sched/sched_switch/enable", "0");
        self.threads.extend(threads(self.pid));
        let trace = fs::read_to_string(self.instance.file("trace")).expect("it can be read");
        let entries =
            trace.lines().find_map(|line| line.strip_prefix("# entries-in-buffer/entries-written: "));
        let (kept, written) =
            entries.and_then(|text| text.split_once('/')).expect("it says how many there are");
        assert!(written.starts_with(kept), "only {kept} of {written} switches are left");
        lost_turns(&trace, &self.threads)
    }

    #[track_caller]
    fn set(&self, file: &str, value: &str) {
        fs::write(self.instance.file(file), value).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}

/// A turn that a thread lost although it could have gone on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// For how long.
    pub wait: Duration,
    /// The kernel's number: 120 and a thread's nice value.
    pub priority: i32,
    /// Whether it held the lock of a process's mappings meanwhile.
    pub locked: bool,
}

/// Some lost turns, as people read them.
pub struct Summary<'l>(pub &'l [Lost]);

impl Summary<'_> {
    /// The longest.
    pub fn longest(&self) -> Duration {
        self.0.iter().map(|lost| lost.wait).max().unwrap_or_default()
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let over = |limit: u64| self.0.iter().filter(|lost| lost.wait > Duration::from_millis(limit)).count();
        let total: Duration = self.0.iter().map(|lost| lost.wait).sum();
        let (count, longest) = (self.0.len(), self.longest());
        let [one, four, ten] = [1, 4, 10].map(over);
        write!(f, "{count}, of them {one} over 1 ms, {four} over 4 ms, {ten} over 10 ms; ")?;
        write!(f, "{longest:?} at most, {total:?} together")
    }
}

fn threads(pid: u32) -> BTreeSet<u32> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// One line of the kernel's trace.
struct Switch {
    at: Duration,
    from: u32,
    priority: i32,
    can_go_on: bool,
    to: u32,
}

fn lost_turns(trace: &str, threads: &BTreeSet<u32>) -> Vec<Lost> {
    let mut away = HashMap::new();
    let mut lost = Vec::new();
    let mut told = None;
    for line in trace.lines() {
        if let Some(switch) = switch(line) {
            lost.extend(
                away.remove(&switch.to)
                    .map(|(since, turn)| Lost { wait: switch.at.saturating_sub(since), ..turn }),
            );
            if threads.contains(&switch.from) && switch.can_go_on {
                let turn = Lost { wait: Duration::ZERO, priority: switch.priority, locked: false };
                away.insert(switch.from, (switch.at, turn));
            }
        } else if line.ends_with(": <stack trace>") {
            told = thread_of(line);
        } else if line.trim_start() == "=> __get_user_pages"
            && let Some((_, turn)) = told.and_then(|thread| away.get_mut(&thread))
        {
            turn.locked = true;
        }
    }
    lost
}

/// Names may hold anything, so what is looked for is what follows them.
fn switch(line: &str) -> Option<Switch> {
    let (head, event) = line.split_once(": sched_switch: ")?;
    let (from, to) = event.rsplit_once(" ==> ")?;
    Some(Switch {
        at: Duration::from_secs_f64(head.rsplit(' ').next()?.parse().ok()?),
        from: field(from, " prev_pid=")?.parse().ok()?,
        priority: field(from, " prev_prio=")?.parse().ok()?,
        can_go_on: field(from, " prev_state=")?.starts_with('R'),
        to: field(to, " next_pid=")?.parse().ok()?,
    })
}

fn field<'l>(text: &'l str, name: &str) -> Option<&'l str> {
    text.rsplit_once(name)?.1.split(' ').next()
}

/// The thread that a line begins with, as in `name-12   [001]`.
fn thread_of(line: &str) -> Option<u32> {
    line.split_once(" [")?.0.trim_end().rsplit('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Thread 12 reads, is away for 2 ms with the lock, then for 1 ms without, and then waits for something.
    const TRACE: &str = "\
# entries-in-buffer/entries-written: 8/8   #P:2
 lea k-12      [001] d..2. 100.000000: sched_switch: prev_comm=lea k prev_pid=12 prev_prio=110 prev_state=R+ ==> next_comm=a next_pid=7 next_prio=120
   other-9     [000] d..2. 100.000001: sched_switch: prev_comm=other prev_pid=9 prev_prio=120 prev_state=R ==> next_comm=b next_pid=13 next_prio=120
 lea k-12      [001] d..2. 100.000002: <stack trace>
 => __schedule
 => __get_user_pages
 => process_vm_rw
       a-7     [001] d..2. 100.002000: sched_switch: prev_comm=a prev_pid=7 prev_prio=120 prev_state=S ==> next_comm=lea k next_pid=12 next_prio=110
 lea k-12      [001] d..2. 100.004000: sched_switch: prev_comm=lea k prev_pid=12 prev_prio=120 prev_state=R ==> next_comm=a next_pid=7 next_prio=120
 lea k-12      [001] d..2. 100.004002: <stack trace>
 => irqentry_exit_to_user_mode
       a-7     [000] d..2. 100.005000: sched_switch: prev_comm=a prev_pid=7 prev_prio=120 prev_state=S ==> next_comm=lea k next_pid=12 next_prio=120
 lea k-12      [000] d..2. 100.006000: sched_switch: prev_comm=lea k prev_pid=12 prev_prio=120 prev_state=S ==> next_comm=a next_pid=7 next_prio=120
       a-7     [000] d..2. 100.007000: sched_switch: prev_comm=a prev_pid=7 prev_prio=120 prev_state=S ==> next_comm=lea k next_pid=12 next_prio=120
";

    #[test]
    fn a_lost_turn_is_told_with_where_it_was_lost() {
        let lost = lost_turns(TRACE, &BTreeSet::from([12, 13]));
        let milliseconds: Vec<u128> =
            lost.iter().map(|lost| (lost.wait + Duration::from_micros(1)).as_millis()).collect();
        assert_eq!(milliseconds, [2, 1]);
        assert_eq!(
            lost.iter().map(|lost| (lost.priority, lost.locked)).collect::<Vec<_>>(),
            [(110, true), (120, false)]
        );
        assert_eq!(
            Summary(&lost[..1]).to_string().split(';').next(),
            Some("1, of them 1 over 1 ms, 0 over 4 ms, 0 over 10 ms")
        );
    }
}
