//! Each rule on what it is for, and on what must not fool it.

use std::net::SocketAddr;

use leaktrace_core::base::num::Goid;
use leaktrace_core::goroutines::model::LockKind;
use leaktrace_core::goroutines::sock_diag::Socket;
use leaktrace_core::judge::detect::{SiteFacts, Wait};
use leaktrace_core::schema::{Severity, Verdict};

use super::made_up::{Kind, MINUTE, Program, RECEIVE, SECOND, SEND};

static HANDLER: Kind =
    Kind { created_by: "main.serve", function: "main.serve.func1", wait: SEND, doing: "chan send" };
static WORKER: Kind =
    Kind { created_by: "main.pool", function: "main.work", wait: RECEIVE, doing: "chan receive" };
static TICKER: Kind =
    Kind { created_by: "main.connect", function: "main.ping", wait: Wait::Time, doing: "chan receive" };
static SLEEPER: Kind =
    Kind { created_by: "main.connect", function: "time.Sleep", wait: Wait::Time, doing: "sleep" };
static LOCKED: Kind = Kind {
    created_by: "main.update",
    function: "main.store",
    wait: Wait::Lock(LockKind::Mutex),
    doing: "sync.Mutex.Lock",
};
static WAITER: Kind = Kind {
    created_by: "main.gather",
    function: "main.wait",
    wait: Wait::Lock(LockKind::WaitGroup),
    doing: "sync.WaitGroup.Wait",
};
static NIL: Kind = Kind {
    created_by: "main.subscribe",
    function: "main.follow",
    wait: Wait::NilChannel,
    doing: "chan receive (nil chan)",
};
static NIL_SEND: Kind = Kind { doing: "chan send (nil chan)", ..NIL };
static FOREVER: Kind = Kind {
    created_by: "main.background",
    function: "main.park",
    wait: Wait::NoCases,
    doing: "select (no cases)",
};
static BODY: Kind = Kind {
    created_by: "net/http.(*Transport).dialConn",
    function: "net/http.(*persistConn).readLoop",
    wait: Wait::Select,
    doing: "select",
};

/// Of which a gRPC client has three.
static SERIALIZER: Kind = Kind {
    created_by: "google.golang.org/grpc/internal/grpcsync.NewCallbackSerializer",
    function: "google.golang.org/grpc/internal/grpcsync.(*CallbackSerializer).run",
    wait: Wait::Select,
    doing: "select",
};

static STREAM_READER: Kind = Kind {
    created_by: "main.watch",
    function: "google.golang.org/grpc.(*clientStream).RecvMsg",
    wait: Wait::Select,
    doing: "select",
};

static READER: Kind = Kind {
    created_by: "main.fetch",
    function: "net/http.(*body).Read",
    wait: RECEIVE,
    doing: "chan receive",
};
static WRITE_LOOP: Kind = Kind {
    created_by: "net/http.(*Transport).dialConn",
    function: "net/http.(*persistConn).writeLoop",
    wait: Wait::Select,
    doing: "select",
};
static READ_LOOP: Kind = Kind {
    created_by: "net/http.(*Transport).dialConn",
    function: "net/http.(*persistConn).readLoop",
    wait: Wait::Io,
    doing: "IO wait",
};
static COPY: Kind =
    Kind { created_by: "main.proxy", function: "io.copyBuffer", wait: Wait::Io, doing: "IO wait" };
static BUSY: Kind =
    Kind { created_by: "main.accept", function: "main.session", wait: Wait::Time, doing: "sleep" };
static IDLE: Kind =
    Kind { created_by: "main.accept", function: "main.idle", wait: Wait::Select, doing: "select" };
static CONNECTION: Kind =
    Kind { created_by: "main.hijack", function: "net.(*conn).Read", wait: Wait::Io, doing: "IO wait" };

/// A goroutine that nobody has seen.
const GONE: u64 = 5;

const STEP: u64 = 2 * SECOND;

/// The only verdict: its code and how sure it is.
fn only(verdicts: &[Verdict]) -> Option<(&str, Severity)> {
    assert!(verdicts.len() < 2, "{verdicts:#?}");
    verdicts.first().map(|verdict| (verdict.code.as_str(), verdict.severity))
}

fn started(program: &mut Program, kind: &'static Kind) {
    program.start(kind);
}

#[test]
fn a_service_that_leaks_three_a_second_is_named_in_time() {
    let mut program = Program::default();
    let six = |program: &mut Program| (0..6).for_each(|_| started(program, &HANDLER));
    let verdicts = program.run(30 * SECOND, STEP, six);
    assert_eq!(only(&verdicts), None, "too early to tell");
    let verdicts = program.run(20 * SECOND, STEP, six);
    assert_eq!(only(&verdicts), Some(("LT001", Severity::Watch)), "a start-up looks like this");
    let doubt = "; but 42s of growth may be a start-up; 2m 30s would be a leak";
    assert!(verdicts[0].cause.ends_with(doubt), "{}", verdicts[0].cause);
    let verdicts = program.run(2 * MINUTE, STEP, six);
    assert_eq!(only(&verdicts), Some(("LT001", Severity::Likely)));
    let net = verdicts[0].net_per_minute.unwrap();
    assert!((net - 180.0).abs() < 20.0, "{net}");
    assert!(verdicts[0].evidence["hours_until_10000"].as_f64().unwrap() < 1.0);
    assert!(
        verdicts[0].summary.contains(", all blocked sending on channels of their own at main.go:20"),
        "{}",
        verdicts[0].summary
    );
}

#[test]
fn what_runs_from_time_to_time_takes_longer_to_tell() {
    let mut program = Program::default();
    let grow = |program: &mut Program| {
        program.start(&HANDLER);
        program.stir(&HANDLER);
    };
    assert_eq!(only(&program.run(9 * MINUTE, STEP, grow)), Some(("LT001", Severity::Watch)));
    assert_eq!(only(&program.run(2 * MINUTE, STEP, grow)), Some(("LT001", Severity::Likely)));
}

#[test]
fn who_is_served_now_and_then_and_follows_clients_is_never_called_a_leak() {
    let mut program = Program::default();
    let verdicts = program.run(25 * MINUTE, 5 * STEP, |program| {
        let handler = program.born + 1_000_000;
        program.start(&IDLE).parent = Some(handler);
        program.start(&CONNECTION).parent = Some(handler);
        program.stir(&IDLE);
    });
    assert!(verdicts.iter().all(|verdict| verdict.severity == Severity::Watch), "{verdicts:#?}");
}

#[test]
fn sleepers_have_one_threshold_however_slowly_they_come() {
    let sleepers = |every: u64| {
        let mut program = Program::default();
        program.observe();
        let verdicts = program.run(12 * MINUTE, STEP, |program| {
            if program.now.is_multiple_of(every) {
                started(program, &SLEEPER);
            }
        });
        assert!(verdicts.iter().all(|verdict| !verdict.cause.contains("loop")), "{verdicts:#?}");
        only(&verdicts).map(|(code, severity)| (code.to_owned(), severity))
    };
    assert_eq!(
        sleepers(30 * SECOND),
        Some(("LT008".to_owned(), Severity::Likely)),
        "without a signature's name"
    );
    assert_eq!(sleepers(80 * SECOND), Some(("LT008".to_owned(), Severity::Watch)), "fewer than twelve");
}

#[test]
fn a_pool_that_is_being_filled_is_no_leak() {
    let mut program = Program::default();
    let fill = |program: &mut Program| {
        let room = 40_usize.saturating_sub(program.count(&WORKER));
        program.start_on(7, &WORKER, room.min(2) as u64);
    };
    for _ in 0..12 {
        let verdicts = program.run(10 * SECOND, STEP, fill);
        assert!(verdicts.iter().all(|verdict| verdict.severity == Severity::Watch), "{verdicts:#?}");
    }
    assert_eq!(only(&program.verdicts()), None, "it has reached its size");
}

#[test]
fn a_pool_that_fills_ever_more_slowly_is_none_either() {
    for quiet in [2, 130, 250] {
        let mut program = Program::default();
        program.observe();
        program.run(quiet * SECOND, STEP, |_| ());
        for _ in 0..60 {
            let verdicts = program.run(10 * SECOND, STEP, |program| {
                // After two minutes, half of them are there.
                let seconds = program.now / SECOND - quiet;
                let wanted = 90 * seconds / (120 + seconds);
                let missing = wanted.saturating_sub(program.count(&WORKER) as u64);
                program.start_on(7, &WORKER, missing);
            });
            assert!(
                verdicts.iter().all(|verdict| verdict.severity == Severity::Watch),
                "{quiet}: {verdicts:#?}"
            );
        }
    }
}

#[test]
fn senders_that_nobody_receives_from_are_told_with_their_channel() {
    let mut program = Program { capacity: 100, ..Program::default() };
    let verdicts = program.run(MINUTE, STEP, |program| program.start_on(7, &HANDLER, 3));
    assert_eq!(only(&verdicts), Some(("LT002", Severity::Watch)), "somebody may collect them");
    let verdicts = program.run(2 * MINUTE, STEP, |program| program.start_on(7, &HANDLER, 3));
    assert_eq!(only(&verdicts), Some(("LT002", Severity::Likely)));
    let summary = &verdicts[0].summary;
    assert!(
        summary.contains("all blocked sending on one channel (cap 100, full, 0 receivers) at main.go:20"),
        "{summary}"
    );
    assert_eq!(verdicts[0].evidence["also"][0], "LT001");
}

#[test]
fn a_semaphore_that_is_held_for_long_is_only_worth_a_look() {
    let mut program = Program { capacity: 6, ..Program::default() };
    program.start_on(7, &HANDLER, 4);
    assert_eq!(only(&program.run(MINUTE, STEP, |_| ())), Some(("LT002", Severity::Watch)));
    let mut unbuffered = Program::default();
    unbuffered.start_on(7, &HANDLER, 4);
    assert_eq!(only(&unbuffered.run(MINUTE, STEP, |_| ())), Some(("LT002", Severity::Watch)));
    let after =
        only(&unbuffered.run(20 * MINUTE, STEP, |_| ())).map(|(code, severity)| (code.to_owned(), severity));
    assert_eq!(after, Some(("LT002".to_owned(), Severity::Watch)), "whoever receives is at long work");
}

#[test]
fn an_idle_pool_is_clean_however_old_it_is() {
    let mut program = Program::default();
    program.start_on(7, &WORKER, 50);
    assert_eq!(only(&program.run(100 * MINUTE, 10 * STEP, |_| ())), None);
}

#[test]
fn few_that_outlive_thousands_of_siblings_are_told() {
    let mut program = Program::default();
    let mut facts = SiteFacts::default();
    (0..5_000).for_each(|_| facts.lifetimes.add(2_000_000));
    program.facts.insert("main.serve", facts);
    program.run(18 * SECOND, STEP, |_| ());
    let mut left = 3;
    let verdicts = program.run(MINUTE, STEP, |program| {
        if left > 0 {
            program.start(&HANDLER);
            left -= 1;
        }
    });
    assert_eq!(only(&verdicts), Some(("LT003", Severity::Watch)), "it may be another kind of work");
    assert_eq!(verdicts[0].evidence["siblings_ended"], 5_000);
}

#[test]
fn nil_channels_are_certain_at_first_sight() {
    for (kind, count) in [(&NIL, 2), (&NIL_SEND, 1)] {
        let mut program = Program::default();
        (0..count).for_each(|_| started(&mut program, kind));
        program.observe();
        assert_eq!(only(&program.verdicts()), Some(("LT004", Severity::Certain)));
    }
}

#[test]
fn one_that_waits_for_a_context_without_an_end_is_worth_a_look_for_however_long() {
    let mut program = Program::default();
    program.start(&NIL);
    program.observe();
    assert_eq!(only(&program.verdicts()), Some(("LT004", Severity::Watch)));
    assert_eq!(only(&program.run(20 * MINUTE, STEP, |_| ())), Some(("LT004", Severity::Watch)));
}

#[test]
fn one_select_without_cases_may_be_meant_and_two_are_not() {
    let mut program = Program::default();
    program.start(&FOREVER);
    program.observe();
    assert_eq!(only(&program.verdicts()), Some(("LT004", Severity::Likely)));
    assert!(program.verdicts()[0].cause.starts_with("it waits in a `select {}`"));
    program.start(&FOREVER);
    program.observe();
    assert_eq!(only(&program.verdicts()), Some(("LT004", Severity::Certain)));
    assert!(program.verdicts()[0].cause.starts_with("they wait in a `select {}`"));
}

#[test]
fn a_mutex_that_hands_nobody_on_is_never_unlocked() {
    let mut program = Program::default();
    program.start_on(7, &LOCKED, 2);
    assert_eq!(only(&program.run(20 * SECOND, STEP, |_| ())), None);
    assert_eq!(only(&program.run(20 * SECOND, STEP, |_| ())), Some(("LT007", Severity::Watch)));
    let doubt = "; but whoever holds it may be at long work; 2m 30s would be a leak";
    assert!(program.verdicts()[0].cause.ends_with(doubt), "{}", program.verdicts()[0].cause);
    assert_eq!(only(&program.run(2 * MINUTE, STEP, |_| ())), Some(("LT007", Severity::Likely)));
    let mut busy = Program::default();
    busy.start_on(7, &LOCKED, 20);
    assert_eq!(only(&busy.run(MINUTE, STEP, |program| program.stir(&LOCKED))), None);
}

#[test]
fn waiting_for_a_group_is_no_leak_unless_ever_more_do() {
    let mut program = Program::default();
    program.start_on(7, &WAITER, 20);
    assert_eq!(only(&program.run(10 * MINUTE, STEP, |_| ())), None);
    let mut growing = Program::default();
    let verdicts = growing.run(3 * MINUTE, STEP, |program| started(program, &WAITER));
    assert_eq!(only(&verdicts), Some(("LT007", Severity::Likely)));
}

#[test]
fn tickers_that_only_accumulate_are_told_and_those_that_end_are_not() {
    let mut program = Program::default();
    let tick = |program: &mut Program| {
        program.start(&TICKER);
        program.stir(&TICKER);
    };
    let verdicts = program.run(3 * MINUTE, STEP, tick);
    assert_eq!(only(&verdicts), Some(("LT008", Severity::Likely)));
    assert!(verdicts[0].cause.contains("in a loop"), "{}", verdicts[0].cause);
    let mut ending = Program::default();
    let verdicts = ending.run(5 * MINUTE, STEP, |program| {
        let end = program.now + 20 * SECOND;
        program.start(&TICKER).ends_at = end;
    });
    assert_eq!(only(&verdicts), None);
}

#[test]
fn orphans_are_told_when_they_accumulate() {
    let mut program = Program::default();
    let verdicts = program.run(3 * MINUTE, STEP, |program| program.start(&HANDLER).parent = Some(GONE));
    assert_eq!(only(&verdicts), Some(("LT009", Severity::Likely)));
    assert_eq!(verdicts[0].evidence["also"][0], "LT001");
}

#[test]
fn a_known_signature_says_more_about_the_cause() {
    let mut program = Program::default();
    let verdicts = program.run(3 * MINUTE, STEP, |program| started(program, &BODY));
    assert_eq!(only(&verdicts), Some(("LT010", Severity::Likely)));
    assert_eq!(verdicts[0].evidence["signature"], "http-body-not-closed");
    assert!(verdicts[0].remedy.contains("resp.Body.Close()"), "{}", verdicts[0].remedy);
}

#[test]
fn a_body_that_somebody_reads_is_not_abandoned() {
    let mut program = Program::default();
    let verdicts = program.run(3 * MINUTE, STEP, |program| {
        started(program, &BODY);
        started(program, &WRITE_LOOP);
        program.start_on(9, &READER, 1);
        program.stir(&READER);
    });
    let of_reader = |verdict: &&Verdict| verdict.created_by.function.as_deref() == Some(READER.created_by);
    assert!(verdicts.iter().all(|verdict| of_reader(&verdict)), "{verdicts:#?}");
}

#[test]
fn sessions_of_a_fixed_number_that_become_idle_are_no_growth() {
    let mut program = Program::default();
    (0..60).for_each(|_| started(&mut program, &BUSY));
    program.observe();
    let verdicts = program.run(2 * MINUTE, STEP, |program| {
        if let Some(busy) = program.routines.iter_mut().find(|routine| routine.is(&BUSY)) {
            busy.kind = &IDLE;
        }
        program.stir(&BUSY);
    });
    assert_eq!(only(&verdicts), None);
}

#[test]
fn the_same_is_true_of_those_that_start_while_we_watch() {
    let mut program = Program::default();
    program.observe();
    program.run(4 * SECOND, STEP, |_| ());
    (0..60).for_each(|_| started(&mut program, &BUSY));
    let verdicts = program.run(3 * MINUTE, STEP, |program| {
        if let Some(busy) = program.routines.iter_mut().find(|routine| routine.is(&BUSY)) {
            busy.kind = &IDLE;
        }
        program.stir(&BUSY);
    });
    assert_eq!(only(&verdicts), None);
}

#[test]
fn sessions_that_come_in_a_minute_and_stay_are_never_likely() {
    let mut program = Program::default();
    let mut left = 60;
    for _ in 0..150 {
        let verdicts = program.run(STEP, STEP, |program| {
            (0..2).filter(|_| left > 0).for_each(|_| started(program, &IDLE));
            left -= 2;
        });
        assert!(verdicts.iter().all(|verdict| verdict.severity == Severity::Watch), "{verdicts:#?}");
    }
    assert_eq!(only(&program.verdicts()), None, "in the end, it is a plateau");
}

#[test]
fn they_are_not_either_if_we_came_long_before_them() {
    for quiet in (0..300).step_by(20) {
        let mut program = Program::default();
        program.observe();
        program.run((quiet + 2) * SECOND, STEP, |_| ());
        let mut left = 90;
        for _ in 0..150 {
            let verdicts = program.run(STEP, STEP, |program| {
                (0..2).filter(|_| left > 0).for_each(|_| started(program, &IDLE));
                left -= 2;
            });
            assert!(verdicts.iter().all(|verdict| verdict.severity == Severity::Watch), "{verdicts:#?}");
        }
    }
}

#[test]
fn who_lives_beside_the_reader_of_a_connection_follows_clients() {
    let mut program = Program::default();
    let verdicts = program.run(10 * MINUTE, STEP, |program| {
        let handler = program.born + 1_000_000;
        program.start(&IDLE).parent = Some(handler);
        program.start(&CONNECTION).parent = Some(handler);
    });
    let sure = verdicts.iter().find(|verdict| verdict.severity < Severity::Watch);
    assert_eq!(sure, None);
    assert!(verdicts[0].cause.contains("may follow their clients"), "{}", verdicts[0].cause);
}

/// The surest verdict on readers that come one by one for so many minutes, each with such a socket, and whose starters have gone.
fn verdict_on_readers(minutes: u64, local_port: u16, state: u8, idle_ms: u32) -> Severity {
    let (local, remote) =
        (SocketAddr::from(([10, 0, 0, 1], local_port)), SocketAddr::from(([10, 0, 0, 7], 4711)));
    let socket = Socket { local, remote, state, idle_ms: Some(idle_ms) };
    let mut program = Program::default();
    let verdicts = program.run(minutes * MINUTE, if minutes > 10 { 5 * STEP } else { STEP }, |program| {
        let reader = program.start(&CONNECTION);
        (reader.parent, reader.socket) = (Some(GONE), Some(socket));
    });
    verdicts[0].severity
}

#[test]
fn what_the_kernel_knows_of_connections_tells_demand_from_what_was_given_up() {
    const OPEN: u8 = 1;
    const HALF_CLOSED: u8 = 5;
    let severity = |port, state, idle_ms| verdict_on_readers(4, port, state, idle_ms);
    assert_eq!(severity(80, OPEN, 90_000), Severity::Watch, "clients that are quiet");
    assert_eq!(severity(40_000, OPEN, 1_000), Severity::Watch, "they are used");
    assert_eq!(severity(40_000, OPEN, 90_000), Severity::Likely, "nobody uses them, and more are opened");
    assert_eq!(severity(80, HALF_CLOSED, 0), Severity::Likely, "one end is closed");
    assert_eq!(
        verdict_on_readers(40, 80, OPEN, 90_000),
        Severity::Watch,
        "clients, for however long they come"
    );
    assert_eq!(verdict_on_readers(40, 40_000, OPEN, 1_000), Severity::Likely, "ours, for half an hour");
}

#[test]
fn whose_partner_an_incomplete_look_does_not_show_has_not_lost_it() {
    let mut program = Program::default();
    for look in 0..120 {
        let verdicts = program.run(STEP, STEP, |program| {
            if look < 100 {
                let handler = program.born + 1_000_000;
                program.start(&IDLE).parent = Some(handler);
                program.start(&CONNECTION).parent = Some(handler);
            }
            program.unseen = (look % 3 == 2).then_some(&CONNECTION);
        });
        assert!(verdicts.iter().all(|verdict| verdict.severity == Severity::Watch), "{verdicts:#?}");
    }
}

#[test]
fn whose_partners_no_look_shows_any_more_has_lost_them() {
    let mut program = Program::default();
    let together = |program: &mut Program| {
        let handler = program.born + 1_000_000;
        program.start(&IDLE).parent = Some(handler);
        program.start(&CONNECTION).parent = Some(handler);
    };
    program.run(2 * MINUTE, STEP, together);
    let of_idle = |verdicts: &[Verdict]| {
        let idle = verdicts.iter().find(|one| one.created_by.function.as_deref() == Some("main.accept"));
        idle.map(|verdict| verdict.severity)
    };
    // From now on something cannot be read in any look.
    program.unseen = Some(&BUSY);
    assert_eq!(of_idle(&program.run(2 * MINUTE, STEP, together)), Some(Severity::Watch));
    let alone = |program: &mut Program| {
        program.routines.retain(|routine| !routine.is(&CONNECTION));
        started(program, &IDLE);
    };
    assert_eq!(of_idle(&program.run(10 * STEP, STEP, alone)), Some(Severity::Likely));
}

#[test]
fn a_connection_of_ours_stands_for_whoever_opened_it_and_not_for_its_own_goroutines() {
    let (local, remote) = (SocketAddr::from(([10, 0, 0, 1], 40_000)), SocketAddr::from(([10, 0, 0, 7], 80)));
    let socket = Socket { local, remote, state: 1, idle_ms: Some(0) };
    let surest = |with_user: bool| {
        let mut program = Program::default();
        let verdicts = program.run(4 * MINUTE, STEP, |program| {
            let user = if with_user { program.start(&IDLE).goid } else { program.born + 1_000_000 };
            if !with_user {
                program.start(&IDLE).parent = Some(user);
            }
            let reader = program.start(&CONNECTION);
            (reader.parent, reader.socket) = (Some(user), Some(socket));
        });
        verdicts[0].severity
    };
    assert_eq!(surest(true), Severity::Watch, "each has its user");
    assert_eq!(surest(false), Severity::Likely, "whoever opened them has gone");
}

#[test]
fn who_follows_clients_is_told_with_their_number_and_address() {
    let (local, remote) = (SocketAddr::from(([10, 0, 0, 1], 80)), SocketAddr::from(([10, 0, 0, 7], 4711)));
    let socket = Socket { local, remote, state: 1, idle_ms: Some(0) };
    let mut program = Program::default();
    let verdicts = program.run(4 * MINUTE, STEP, |program| {
        let handler = program.born + 1_000_000;
        program.start(&IDLE).parent = Some(handler);
        let reader = program.start(&CONNECTION);
        (reader.parent, reader.socket) = (Some(handler), Some(socket));
    });
    let idle = verdicts.iter().find(|one| one.created_by.function.as_deref() == Some("main.accept")).unwrap();
    assert_eq!(idle.severity, Severity::Watch);
    let words = "they follow 120 open connections of clients, 120 of which are from 10.0.0.7";
    assert!(idle.cause.ends_with(words), "{}", idle.cause);
}

/// How sure it is after so many minutes that writers are left that the goroutine `accepts` starts beside the reader of each
/// connection, from `port` of the machine, and readers stay for so many seconds.
fn left_writers(
    writer: &'static Kind,
    accepts: u64,
    port: u16,
    readers_stay: u64,
    minutes: u64,
) -> Option<Severity> {
    let (local, remote) = (SocketAddr::from(([10, 0, 0, 1], port)), SocketAddr::from(([10, 0, 0, 7], 4711)));
    let socket = Socket { local, remote, state: 1, idle_ms: Some(0) };
    let mut program = Program::default();
    let verdicts = program.run(minutes * MINUTE, STEP, |program| {
        let end = program.now.saturating_add(readers_stay * SECOND);
        let reader = program.start(&CONNECTION);
        (reader.parent, reader.socket, reader.ends_at) = (Some(accepts), Some(socket), end);
        program.start(writer).parent = Some(accepts);
        program.stir(&BUSY);
    });
    let of_writers =
        verdicts.iter().filter(|one| one.created_by.function.as_deref() == Some(writer.created_by));
    of_writers.map(|verdict| verdict.severity).min()
}

#[test]
fn writers_that_one_loop_starts_beside_the_readers_of_clients_follow_them() {
    for (writer, accepts) in [(&IDLE, 7), (&IDLE, 1), (&BUSY, 7), (&BUSY, 1)] {
        assert_eq!(left_writers(writer, accepts, 80, 1 << 30, 10), Some(Severity::Watch), "{writer:?}");
    }
}

#[test]
fn writers_whose_readers_have_gone_are_left_behind() {
    for (writer, accepts) in [(&IDLE, 7), (&IDLE, 1), (&BUSY, 7), (&BUSY, 1)] {
        assert_eq!(left_writers(writer, accepts, 80, 40, 5), Some(Severity::Likely), "{writer:?}");
        let ours = left_writers(writer, accepts, 40_000, 1 << 30, 5);
        assert_eq!(ours, Some(Severity::Likely), "{writer:?} of connections of our own");
    }
}

#[test]
fn as_many_clients_as_are_left_behind_do_not_hide_who_came_at_other_times() {
    let (local, remote) = (SocketAddr::from(([10, 0, 0, 1], 80)), SocketAddr::from(([10, 0, 0, 7], 4711)));
    let mut program = Program::default();
    let verdicts = program.run(5 * MINUTE, STEP, |program| {
        let is_start = program.now < MINUTE;
        for _ in 0..if is_start { 4 } else { 0 } {
            let reader = program.start(&CONNECTION);
            reader.socket = Some(Socket { local, remote, state: 1, idle_ms: Some(0) });
            reader.parent = Some(7);
        }
        if !is_start {
            program.start(&IDLE).parent = Some(7);
        }
    });
    let idle = verdicts.iter().find(|one| one.created_by.function.as_deref() == Some(IDLE.created_by));
    assert_eq!(idle.map(|verdict| verdict.severity), Some(Severity::Likely), "{verdicts:#?}");
}

#[test]
fn a_client_is_in_use_if_one_of_its_streams_is_read_however_many_goroutines_it_has() {
    let clients = |readers: usize| {
        let mut program = Program::default();
        let verdicts = program.run(4 * MINUTE, STEP, |program| {
            (0..3).for_each(|_| started(program, &SERIALIZER));
            (0..readers).for_each(|_| started(program, &STREAM_READER));
            program.stir(&STREAM_READER);
        });
        let of_clients =
            |verdict: &&Verdict| verdict.created_by.function.as_deref() == Some(SERIALIZER.created_by);
        verdicts.iter().find(of_clients).map(|verdict| verdict.severity)
    };
    assert_eq!(clients(0), Some(Severity::Likely));
    assert_eq!(clients(1), None);
}

#[test]
fn connections_of_a_client_for_each_call_are_a_leak_although_each_has_a_reader() {
    let mut program = Program::default();
    let verdicts = program.run(4 * MINUTE, STEP, |program| {
        let dialer = program.born + 1_000_000;
        program.start(&WRITE_LOOP).parent = Some(dialer);
        program.start(&READ_LOOP).parent = Some(dialer);
    });
    let idle = verdicts.iter().filter(|verdict| verdict.evidence["signature"] == "http-idle-connections");
    assert!(
        idle.clone().all(|verdict| verdict.severity == Severity::Likely) && idle.count() > 0,
        "{verdicts:#?}"
    );
}

/// How sure it is that connections are left, one more for every four seconds; each is used again after so many of them.
fn left_connections(used_every: Option<u64>) -> Option<Severity> {
    let mut program = Program::default();
    let verdicts = program.run(5 * MINUTE, STEP, |program| {
        let look = program.now / STEP;
        if look.is_multiple_of(2) {
            started(program, &WRITE_LOOP);
            started(program, &READ_LOOP);
        }
        let Some(every) = used_every else { return };
        for one in &mut program.routines {
            one.moves = one.moves.wrapping_add(u8::from((look + one.goid / 2).is_multiple_of(every)));
        }
    });
    let idle = verdicts.iter().filter(|verdict| {
        verdict.evidence.get("signature").is_some_and(|name| name == "http-idle-connections")
    });
    idle.map(|verdict| verdict.severity).min()
}

#[test]
fn a_pool_whose_connections_are_all_used_now_and_then_is_no_leak() {
    assert_eq!(left_connections(Some(1)), None, "each at every look");
    assert_eq!(left_connections(Some(7)), None, "each every 14 seconds");
    assert_eq!(left_connections(Some(14)), None, "each every 28 seconds");
    assert_eq!(left_connections(None), Some(Severity::Likely), "a client for each request");
}

#[test]
fn one_direction_that_is_left_is_a_leak_and_two_are_a_proxy() {
    let (local, remote) = (SocketAddr::from(([10, 0, 0, 1], 80)), SocketAddr::from(([10, 0, 0, 7], 4711)));
    let socket = Socket { local, remote, state: 1, idle_ms: Some(0) };
    let copies = |directions: u64, socket: Option<Socket>| {
        let mut program = Program::default();
        let verdicts = program.run(4 * MINUTE, STEP, |program| {
            let handler = program.born + 1_000_000;
            for _ in 0..directions {
                let copy = program.start(&COPY);
                (copy.parent, copy.socket) = (Some(handler), socket);
            }
        });
        only(&verdicts).map(|(code, severity)| (code.to_owned(), severity))
    };
    assert_eq!(copies(1, None), Some(("LT010".to_owned(), Severity::Likely)));
    assert_eq!(
        copies(1, Some(socket)),
        Some(("LT010".to_owned(), Severity::Likely)),
        "of a client that is there"
    );
    assert_eq!(copies(2, None), Some(("LT010".to_owned(), Severity::Watch)));
    assert_eq!(copies(2, Some(socket)), Some(("LT010".to_owned(), Severity::Watch)));
}

#[test]
fn thousands_that_wait_for_nobody_are_worth_a_look_without_growth() {
    let mut program = Program::default();
    program.start_on(7, &WORKER, 8_400);
    assert_eq!(only(&program.run(MINUTE, STEP, |_| ())), Some(("LT002", Severity::Watch)));
}

#[test]
fn thousands_whose_starters_have_gone_were_given_up_before_we_came() {
    let mut program = Program::default();
    program.start_on(7, &WORKER, 1_200);
    program.routines.iter_mut().for_each(|routine| routine.parent = Some(GONE));
    assert_eq!(only(&program.run(2 * MINUTE, STEP, |_| ())), Some(("LT002", Severity::Watch)));
    assert_eq!(only(&program.run(MINUTE, STEP, |_| ())), Some(("LT002", Severity::Likely)));
}

#[test]
fn a_barrier_that_fills_for_two_minutes_is_only_worth_a_look() {
    let mut program = Program::default();
    for _ in 0..60 {
        let verdicts = program.run(STEP, STEP, |program| program.start_on(7, &WORKER, 4));
        assert!(verdicts.iter().all(|verdict| verdict.severity == Severity::Watch), "{verdicts:#?}");
    }
}

#[test]
fn the_workers_of_sessions_that_come_for_long_follow_their_clients() {
    let mut program = Program::default();
    for _ in 0..150 {
        let verdicts = program.run(STEP, STEP, |program| {
            program.start(&CONNECTION);
            let session = program.born + 10;
            (0..6).for_each(|_| program.start(&WORKER).parent = Some(session));
        });
        assert!(verdicts.iter().all(|verdict| verdict.severity == Severity::Watch), "{verdicts:#?}");
    }
}

#[test]
fn everybody_waiting_for_everybody_is_a_deadlock_of_main() {
    let mut program = Program::default();
    program.start(&WORKER);
    assert_eq!(only(&program.run(MINUTE, STEP, |_| ())), None, "main is not there, so who knows");
}

#[test]
fn verdicts_name_the_oldest_goroutines() {
    let mut program = Program::default();
    (0..20).for_each(|_| started(&mut program, &NIL));
    program.observe();
    let goids: Vec<u64> =
        serde_json::from_value(program.verdicts()[0].evidence["goroutines"].clone()).unwrap();
    assert_eq!(
        goids.iter().map(|goid| Goid(*goid)).collect::<Vec<_>>(),
        (11..19).map(Goid).collect::<Vec<_>>()
    );
}
