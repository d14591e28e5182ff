//! What users may choose: rules, what to leave alone, what they know already, signatures of their own.

use leaktrace_core::judge::detect::{Baseline, Ignore, Level, Wait};
use leaktrace_core::schema::Verdict;

use super::made_up::{Kind, MINUTE, Program, SECOND};

static NIL: Kind = Kind {
    created_by: "main.subscribe",
    function: "main.follow",
    wait: Wait::NilChannel,
    doing: "chan receive (nil chan)",
};
static OWN: Kind =
    Kind { created_by: "shop.open", function: "shop.session", wait: Wait::Select, doing: "select" };

fn with_nil_channel() -> Program {
    let mut program = Program::default();
    program.start(&NIL);
    program.observe();
    program
}

#[test]
fn a_rule_that_is_allowed_says_nothing() {
    let mut program = with_nil_channel();
    program.policy.levels.set("never-wakes", Level::Allow).unwrap();
    assert_eq!(program.verdicts(), []);
}

#[test]
fn goroutines_are_left_alone_by_what_goleak_goes_by() {
    let functions = |name: &str| vec![name.to_owned()];
    let ways = [
        Ignore { top: functions("main.follow"), ..Ignore::default() },
        Ignore { any: functions("main.follow"), ..Ignore::default() },
        Ignore { created_by: functions("main.subscribe"), ..Ignore::default() },
    ];
    for ignore in ways {
        let mut program = with_nil_channel();
        program.policy.ignore = ignore;
        assert_eq!(program.verdicts(), []);
        program.policy.ignore = Ignore { top: functions("main.subscribe"), ..Ignore::default() };
        assert_eq!(program.verdicts().len(), 1);
    }
}

#[test]
fn a_baseline_hides_what_it_has_although_the_line_has_moved() {
    let mut program = with_nil_channel();
    let mut known: Vec<Verdict> = program.verdicts();
    known[0].created_by.line = Some(99);
    let report = serde_json::json!({ "schema_version": 1, "verdicts": known }).to_string();
    program.policy.baseline = Baseline::read(format!("{{}}\n{report}\n").as_bytes()).unwrap();
    assert_eq!(program.verdicts(), []);
    assert_eq!(program.hidden(), ["1 verdict hidden by --baseline"]);
    known[0].code = "LT001".to_owned();
    let report = serde_json::json!({ "verdicts": known }).to_string();
    program.policy.baseline = Baseline::read(report.as_bytes()).unwrap();
    assert_eq!(program.verdicts().len(), 1);
    assert_eq!(program.hidden(), [""; 0]);
}

#[test]
fn a_baseline_has_the_verdicts_of_all_incidents_listed_or_not() {
    let mut program = with_nil_channel();
    let known = program.verdicts();
    let one = serde_json::json!({ "id": "a1", "verdicts": known });
    let listed = serde_json::json!({ "schema_version": 2, "incidents": [one], "not_listed": {} });
    program.policy.baseline = Baseline::read(listed.to_string().as_bytes()).unwrap();
    assert_eq!(program.verdicts(), []);
    let further = serde_json::json!({ "code": known[0].code, "created_by": known[0].created_by });
    let not_listed = serde_json::json!({ "further_incidents": 1, "further_verdicts": [further] });
    let beyond = serde_json::json!({ "incidents": [], "not_listed": not_listed });
    program.policy.baseline = Baseline::read(beyond.to_string().as_bytes()).unwrap();
    assert_eq!(program.verdicts(), []);
    program.policy.baseline = Baseline::read(br#"{"incidents":[]}"#).unwrap();
    assert_eq!(program.verdicts().len(), 1);
}

#[test]
fn what_is_no_report_is_no_baseline_and_is_called_what_it_is() {
    let refused = |file: &[u8]| Baseline::read(file).unwrap_err().to_string();
    assert!(refused(b"no report").starts_with("not a JSON report: "));
    assert_eq!(refused(br#"{"goroutines":[],"stacks":[]}"#), "a dump, not a JSON report");
    assert_eq!(refused(br#"{"changes":[]}"#), "a difference between dumps, not a JSON report");
    assert_eq!(refused(br#"{"processes":[]}"#), "a report on several processes, not a JSON report");
    assert_eq!(refused(b"{}"), "JSON without verdicts, not a JSON report");
    assert_eq!(refused(b"\x93LTR\r\n\x1a\n\x02"), "a snapshot, not a JSON report");
    assert_eq!(refused(b"\x93LTC\r\n\x1a\n\x01"), "a recording, not a JSON report");
}

#[test]
fn what_is_hidden_is_counted_by_the_option_that_hides_it() {
    let mut program = with_nil_channel();
    let known = program.verdicts();
    assert_eq!(program.hidden(), [""; 0]);
    program.policy.levels.set(&known[0].code, Level::Allow).unwrap();
    assert_eq!(
        (program.verdicts().len(), program.hidden()),
        (0, vec!["1 verdict hidden by --allow".to_owned()])
    );
}

#[test]
fn a_signature_of_ones_own_wins() {
    let mut program = Program::default();
    let own = r#"[{
        "name": "shop-session", "frames": ["^shop\\.session$"], "when": "still", "least": 1,
        "severity": "likely", "cause": "the session is not closed", "remedy": "call Close"
    }]"#;
    program.policy.signatures.add(own).unwrap();
    program.start(&OWN);
    let verdicts = program.run(MINUTE, 2 * SECOND, |_| ());
    assert_eq!(
        (verdicts[0].code.as_str(), verdicts[0].cause.as_str()),
        ("LT010", "the session is not closed")
    );
    assert_eq!(verdicts[0].evidence["signature"], "shop-session");
}
