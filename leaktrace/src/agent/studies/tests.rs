use super::*;

const SECOND: u64 = 1_000_000_000;

fn candidate(pid: u32, is_suspect: bool) -> Candidate {
    Candidate { id: id(pid), is_suspect, goroutines: 10 }
}

fn id(pid: u32) -> ProcessId {
    ProcessId { pid, start_ticks: 1 }
}

fn studies() -> Studies {
    Studies::new(0.01, Ktime(0), mpsc::unbounded_channel().0)
}

fn begin(studies: &mut Studies, id: ProcessId, why: Why, at: u64) {
    let ours = rustix::process::getpid();
    studies.began(id, why, pidfd_open(ours, PidfdFlags::empty()).unwrap(), Ktime(at));
}

#[test]
fn suspects_come_first_and_then_whoever_was_not_looked_at_for_longest() {
    let mut studies = studies();
    let all = [candidate(1, false), candidate(2, true), candidate(3, false)];
    assert_eq!(studies.next(&all, Ktime(0)), Some((id(2), Why::Suspected)));
    begin(&mut studies, id(2), Why::Suspected, 5);
    assert_eq!(studies.next(&all, Ktime(9)), Some((id(1), Why::InTurn)));
    begin(&mut studies, id(1), Why::InTurn, 9);
    assert_eq!(studies.next(&all, Ktime(10)), None, "there is no room");
    studies.ended(id(2), Duration::ZERO, Ktime(20));
    assert_eq!(
        studies.next(&all, Ktime(21)),
        None,
        "one at a time in turn, and the suspect was studied just now"
    );
    let later = Ktime(SECOND * 3_700);
    assert_eq!(studies.next(&all, later), Some((id(2), Why::Suspected)));
}

#[test]
fn studies_in_turn_keep_to_their_share() {
    let mut studies = studies();
    let all = [candidate(1, false), candidate(2, false)];
    begin(&mut studies, id(1), Why::InTurn, 0);
    // 0.3 % of a core: three seconds are earned in a thousand.
    studies.ended(id(1), Duration::from_secs(3), Ktime(SECOND));
    assert_eq!(studies.next(&all, Ktime(SECOND * 1_000)), None);
    assert_eq!(studies.next(&all, Ktime(SECOND * 1_002)), Some((id(2), Why::InTurn)));
}

#[test]
fn very_large_processes_are_not_studied() {
    let large = Candidate { goroutines: MOST_GOROUTINES + 1, ..candidate(1, true) };
    assert_eq!(studies().next(&[large], Ktime(0)), None);
}

#[test]
fn suspects_leave_a_place_to_whose_turn_it_is() {
    let mut studies = studies();
    let all = [candidate(1, true), candidate(2, true), candidate(3, false)];
    begin(&mut studies, id(1), Why::Suspected, 0);
    assert_eq!(studies.next(&all, Ktime(1)), Some((id(2), Why::InTurn)), "nobody has looked at it yet");
    studies.turn_due = Ktime(SECOND);
    assert_eq!(studies.next(&all, Ktime(1)), Some((id(2), Why::Suspected)), "it is nobody's turn");
}

#[test]
fn a_weaker_study_does_not_take_back_what_a_stronger_one_has_found() {
    let (watch, likely, certain) = (Some(Severity::Watch), Some(Severity::Likely), Some(Severity::Certain));
    assert!(is_as_sure(certain, likely) && is_as_sure(likely, likely) && is_as_sure(None, None));
    assert!(!is_as_sure(watch, likely) && !is_as_sure(None, watch));
}

/// What is heard of a study that is this script.
fn heard(script: &str) -> Option<String> {
    let (answer, mut answers) = mpsc::unbounded_channel();
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).stdout(Stdio::piped()).stderr(Stdio::piped());
    listen(id(1), shell.spawn().unwrap(), None, &answer);
    let Ok(Answer::Studied(_, Heard::Ended(_, error))) = answers.try_recv() else { panic!("it has ended") };
    error
}

#[test]
fn a_study_that_fails_is_told() {
    assert!(heard("echo nonsense; exec sleep 600").unwrap().starts_with("its report cannot be read: "));
    let error = heard("echo 'leaktrace: no such thing' >&2; exit 5").unwrap();
    assert_eq!(error, "there is no report, exit status: 5: leaktrace: no such thing");
    assert_eq!(heard("kill -9 $$"), None, "we kill it when it is not needed any more");
}
