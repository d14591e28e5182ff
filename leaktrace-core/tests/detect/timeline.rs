//! Three days of a service in a moment: a pool, connections that follow the day, a deploy, and a slow leak.

use leaktrace_core::judge::detect::Wait;
use leaktrace_core::schema::{Severity, Verdict};

use super::made_up::{DAY, HOUR, Kind, MINUTE, Program, RECEIVE, SECOND, SEND};

static POOL: Kind =
    Kind { created_by: "main.pool", function: "main.work", wait: RECEIVE, doing: "chan receive" };
static SESSION: Kind =
    Kind { created_by: "main.accept", function: "main.session", wait: Wait::Select, doing: "select" };
static TICKER: Kind =
    Kind { created_by: "main.cron", function: "main.tick", wait: Wait::Time, doing: "sleep" };
static LEAK: Kind =
    Kind { created_by: "main.notify", function: "main.notify.func1", wait: SEND, doing: "chan send" };

const STEP: u64 = MINUTE;
const DEPLOY: u64 = DAY + 14 * HOUR;
const LEAK_FROM: u64 = DAY + 6 * HOUR;
const LEAK_EVERY: u64 = 6 * MINUTE;

/// How many sessions there are at a time of the day: few at night, many at noon.
fn wanted(now: u64) -> u64 {
    let hours = (now % DAY) / HOUR;
    let minutes = (now % HOUR) / MINUTE;
    let from_noon = (hours * 60 + minutes).abs_diff(12 * 60);
    120 - from_noon / 7
}

/// One minute of the service.
fn minute(program: &mut Program) {
    let now = program.now;
    if now == DEPLOY {
        let sessions = program.routines.iter_mut().filter(|routine| routine.is(&SESSION));
        sessions.for_each(|session| session.ends_at = now);
        program.start_on(7, &POOL, 30);
    }
    let missing = wanted(now).saturating_sub(program.count(&SESSION) as u64);
    for number in 0..missing.min(20) {
        // From 20 minutes to 2 hours, by no rule that anything follows.
        let length = 20 + (now / MINUTE + number) * 37 % 100;
        program.start(&SESSION).ends_at = now + length * MINUTE;
    }
    if now > LEAK_FROM && (now - LEAK_FROM).is_multiple_of(LEAK_EVERY) {
        program.start(&LEAK);
    }
    if now.is_multiple_of(10 * MINUTE) {
        program.stir(&POOL);
    }
    program.stir(&TICKER);
}

#[test]
fn in_three_days_only_the_leak_is_reported() {
    let mut program = Program::default();
    program.start_on(7, &POOL, 50);
    program.start_on(8, &TICKER, 5);
    program.observe();
    let mut named_at = None;
    while program.now < 3 * DAY {
        let verdicts = program.run(10 * MINUTE, STEP, minute);
        let sure = verdicts.iter().filter(|verdict| verdict.severity < Severity::Watch);
        let leaks: Vec<&Verdict> = sure.collect();
        let others = leaks.iter().find(|verdict| !is_leak(verdict));
        assert_eq!(others, None, "after {} minutes", program.now / MINUTE);
        match named_at {
            None if !leaks.is_empty() => named_at = Some(program.now),
            None => {}
            Some(_) => assert_eq!(leaks.len(), 1, "after {} minutes it is forgotten", program.now / MINUTE),
        }
    }
    let after = named_at.unwrap() - LEAK_FROM;
    assert!((30 * MINUTE..=2 * HOUR).contains(&after), "named after {} minutes", after / MINUTE);
    let verdicts = program.verdicts();
    let net = verdicts[0].net_per_minute.unwrap();
    assert!((net * 60.0 - 10.0).abs() < 1.0, "{net} a minute");
    assert_eq!(verdicts[0].live, (3 * DAY - LEAK_FROM) / LEAK_EVERY);
    assert!(verdicts[0].evidence["longest_still_ns"].as_u64().unwrap() > DAY - SECOND);
}

fn is_leak(verdict: &Verdict) -> bool {
    verdict.created_by.function.as_deref() == Some(LEAK.created_by)
}
