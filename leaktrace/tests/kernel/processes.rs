//! What the kernel tells of processes that come and go.

use std::process::{Child, Command, Stdio};

use leaktrace::kernel::{LoadError, ProcessWatch, ProcessWatchError};
use leaktrace_core::node::{Happened, ProcessEvent};
use leaktrace_tests::poll::{PATIENCE, poll_until};
use leaktrace_tests::privilege::skip;

fn watch() -> Option<ProcessWatch> {
    match ProcessWatch::start() {
        Ok(watch) => Some(watch),
        Err(error @ ProcessWatchError::OtherPidNamespace) => {
            skip(&error.to_string());
            None
        }
        Err(ProcessWatchError::Load(LoadError::NotPermitted(error))) => {
            skip(&error.to_string());
            None
        }
        Err(error) => panic!("{error:?}"),
    }
}

fn shell(script: &str) -> Child {
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).stdin(Stdio::piped());
    shell.spawn().expect("it starts")
}

/// All that is told of a process, until it exits.
fn told(watch: &mut ProcessWatch, pid: u32) -> Vec<Happened> {
    let mut all = Vec::new();
    poll_until(PATIENCE, "its exit is told", || {
        watch.drain(usize::MAX, |record| {
            let event = ProcessEvent::decode(record).expect("it is ours");
            all.extend((event.pid == pid).then_some(event.happened));
        });
        all.iter().any(|happened| matches!(happened, Happened::Exit(_))).then_some(())
    });
    all
}

#[test]
fn execs_and_exits_of_any_process_are_told_with_what_it_ended_with() {
    let Some(mut watch) = watch() else { return };
    assert!(watch.tells_victims());
    let mut child = shell("exec sh -c 'exit 3'");
    let own = Some(0x300);
    assert_eq!(told(&mut watch, child.id()), [Happened::Exec, Happened::Exec, Happened::Exit(own)]);
    child.wait().expect("it is ours");

    let mut child = shell("read line");
    child.kill().expect("it runs");
    let all = told(&mut watch, child.id());
    assert_eq!(all.last(), Some(&Happened::Exit(Some(9))), "{all:?}");
    child.wait().expect("it is ours");
    assert_eq!(watch.lost().expect("it is counted"), 0);
}

#[test]
fn a_process_of_many_threads_exits_once() {
    let Some(mut watch) = watch() else { return };
    let script = "import threading, os, time\n\
                  for _ in range(8): threading.Thread(target=time.sleep, args=(60,)).start()\n\
                  os._exit(5)";
    let mut child = Command::new("python3").args(["-c", script]).spawn().expect("it starts");
    let exits = |all: Vec<Happened>| {
        all.into_iter().filter(|happened| matches!(happened, Happened::Exit(_))).collect::<Vec<_>>()
    };
    let first = exits(told(&mut watch, child.id()));
    assert_eq!(first[0], Happened::Exit(Some(0x500)), "{first:?}");
    assert!(child.wait().expect("it is ours").code() == Some(5));
}
