use leaktrace_core::schema::ProcessId;

use super::*;

fn id(pid: u32) -> ProcessId {
    ProcessId { pid, start_ticks: 1 }
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
