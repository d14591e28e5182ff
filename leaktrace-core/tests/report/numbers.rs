//! What the numbers of a report mean.

use std::time::Duration;

use leaktrace_core::base::num::{Pc, ReturnPc};
use leaktrace_core::go::goroutines::StackEnd;
use leaktrace_core::go::names::Status::{Running, Waiting};
use leaktrace_core::judge::detect::Ignore;
use leaktrace_core::report::{Sort, View};
use leaktrace_core::schema::Traced;

use crate::golden::as_text;
use crate::service::{Go, HOUR, SECOND, SELECT, SEND, Service};

#[test]
fn a_group_adds_up_and_knows_how_sure_it_is() {
    let mut service = Service::new();
    let go = Go::simple(&mut service.code, "order");
    service.in_memory(40, &go, Waiting, SELECT);
    service.look(HOUR);
    for goid in 1..=3 {
        service.birth(HOUR + goid * SECOND, goid, &go);
        service.park(HOUR + goid * SECOND + 5, goid, SELECT);
    }
    service.end(HOUR + 4 * SECOND, 3);
    for goid in [1, 2] {
        service.in_memory(goid, &go, Waiting, SELECT);
    }
    let report = service.report(HOUR + 60 * SECOND, &View::default());
    assert_eq!(
        (report.totals.live, report.totals.born, report.totals.ended, report.totals.before_attach),
        (3, 3, 1, 1)
    );
    let group = &report.groups[0];
    assert_eq!((group.live, group.long_lived, group.born, group.ended, group.before_attach), (3, 3, 3, 1, 1));
    assert_eq!(group.net_per_minute, Some(2.0));
    assert_eq!((group.oldest_age_ns, group.age_is_lower_bound), (Some(60 * SECOND), true));
    assert_eq!((group.median_age_ns, group.median_is_lower_bound), (Some(59 * SECOND), false));
    assert_eq!(group.longest_wait_ns, Some(59 * SECOND - 5));
    assert_eq!(group.wait_reasons["select"], 3);
    assert_eq!(group.stack_bytes, 3 * 8192);
    assert_eq!(group.created_by.function.as_deref(), Some("order.(*Server).accept"));
    assert_eq!((group.blocked_at.len(), group.blocked_elsewhere), (1, 0));
    assert_eq!(group.blocked_at[0].function.as_deref(), Some("order.(*Server).serve"));
    let creators: Vec<_> =
        group.creation_stack.iter().filter_map(|frame| frame.function.as_deref()).collect();
    assert_eq!(
        creators,
        ["order.(*Server).accept", "main.main"],
        "from the go statement, without the runtime"
    );
}

#[test]
fn the_first_report_adds_up_and_knows_no_rate_yet() {
    let mut service = Service::new();
    let go = Go::simple(&mut service.code, "order");
    for goid in 1..=300 {
        service.end(HOUR + goid, goid);
        service.birth(HOUR + goid, 1_000 + goid, &go);
        service.in_memory(1_000 + goid, &go, Waiting, SELECT);
    }
    service.in_memory(500, &go, Waiting, SELECT);
    service.look(HOUR + SECOND);
    let report = service.report(HOUR + 2 * SECOND, &View { min_age: Duration::ZERO, ..View::default() });
    let totals = &report.totals;
    assert_eq!((totals.live, totals.before_attach, totals.born, totals.ended), (301, 301, 300, 300));
    assert_eq!((totals.net_per_minute, report.groups[0].net_per_minute), (None, None));
    assert_eq!(report.completeness.ends_unmatched, 0);
    for goid in (1_001..=1_300).chain([500]) {
        service.in_memory(goid, &go, Waiting, SELECT);
    }
    let report = service.report(HOUR + 60 * SECOND, &View::default());
    assert_eq!((report.totals.net_per_minute, report.groups[0].net_per_minute), (Some(0.0), Some(0.0)));
}

#[test]
fn the_runtimes_goroutines_are_hidden_and_counted() {
    let mut service = Service::new();
    let mut worker = Go::simple(&mut service.code, "order");
    worker.start = Pc(service.code.at("runtime.gcBgMarkWorker", "/go/src/runtime/mgc.go", 0).call_site().0);
    service.in_memory(2, &worker, Waiting, SELECT);
    let mut main = Go::simple(&mut service.code, "order");
    main.start = Pc(service.code.at("runtime.main", "/go/src/runtime/proc.go", 0).call_site().0);
    service.in_memory(1, &main, Running, 0);
    let view = View { include_runtime: true, ..View::default() };
    assert_eq!(service.report(HOUR + SECOND, &view).totals.live, 2);
    for (goid, go) in [(2, &worker), (1, &main)] {
        service.in_memory(goid, go, Running, 0);
    }
    let report = service.report(HOUR + 2 * SECOND, &View::default());
    assert_eq!((report.totals.live, report.totals.runtime_hidden, report.groups.len()), (1, 1, 1));
}

#[test]
fn young_groups_and_those_after_the_first_are_counted() {
    let mut service = Service::new();
    for (index, name) in ["alpha", "beta", "gamma", "delta"].into_iter().enumerate() {
        let go = Go::simple(&mut service.code, name);
        let first = 100 * (index as u64 + 1);
        let born = HOUR + if name == "delta" { 55 * SECOND } else { SECOND };
        for goid in first..=first + index as u64 {
            service.birth(born, goid, &go);
            service.in_memory(goid, &go, Waiting, SEND);
        }
    }
    let view = View { top: Some(1), ..View::default() };
    let report = service.report(HOUR + 60 * SECOND, &view);
    assert_eq!(report.groups[0].created_by.function.as_deref(), Some("gamma.(*Server).accept"));
    let hidden = &report.not_listed;
    assert_eq!((hidden.young_groups, hidden.young_live), (1, 4));
    assert_eq!((hidden.further_groups, hidden.further_live), (2, 3));
    assert_eq!(report.totals.live, 10);
}

#[test]
fn each_sort_puts_its_own_first_and_equals_by_name() {
    let mut service = Service::new();
    service.look(HOUR);
    let [many, old, hot] = ["many", "old", "hot"].map(|name| Go::simple(&mut service.code, name));
    for goid in 1..=5 {
        service.birth(HOUR + 20 * SECOND, goid, &many);
        service.in_memory(goid, &many, Waiting, SEND);
    }
    service.birth(HOUR + SECOND, 10, &old);
    service.in_memory(10, &old, Waiting, SEND).stack.hi.0 += 1 << 19;
    for goid in 20..=40 {
        service.birth(HOUR + 30 * SECOND, goid, &hot);
        if goid < 40 {
            service.end(HOUR + 31 * SECOND, goid);
        }
    }
    service.in_memory(40, &hot, Waiting, SEND);
    let report = service.report(HOUR + 60 * SECOND, &View::default());
    let firsts = [Sort::Live, Sort::Age, Sort::Net, Sort::Born, Sort::Stack].map(|sort| {
        for (goid, go) in (1..=5).map(|goid| (goid, &many)).chain([(10, &old), (40, &hot)]) {
            let shown = service.in_memory(goid, go, Waiting, SEND);
            shown.stack.hi.0 += if goid == 10 { 1 << 19 } else { 0 };
        }
        let report = service.report(HOUR + 61 * SECOND, &View { sort, ..View::default() });
        report.groups[0].created_by.function.clone().unwrap()
    });
    let expected = ["many", "old", "many", "hot", "old"].map(|name| format!("{name}.(*Server).accept"));
    assert_eq!(firsts, expected);
    assert_eq!(report.groups.len(), 3);
}

#[test]
fn a_wrapper_is_named_by_what_it_calls() {
    let mut service = Service::new();
    let mut go = Go::simple(&mut service.code, "order");
    let wrapper = service.code.at("order.(*Server).accept.gowrap1", "/src/order/order.go", 41);
    go.start = wrapper.call_site();
    go.stands.push(wrapper);
    service.in_memory(7, &go, Waiting, SELECT);
    let report = service.report(HOUR + SECOND, &View::default());
    assert_eq!(report.groups[0].start_function.as_deref(), Some("order.(*Server).serve"));
}

#[test]
fn what_has_no_name_is_shown_by_its_address() {
    let mut service = Service::new();
    let stands = vec![ReturnPc(0xdead)];
    let go = Go { site: ReturnPc(0xbeef), start: Pc(0xcafe), creators: Vec::new(), stands };
    service.in_memory(7, &go, Waiting, 77);
    let report = service.report(HOUR + SECOND, &View::default());
    let group = &report.groups[0];
    assert_eq!((group.created_by.function.as_deref(), group.created_by.pc.as_str()), (None, "0xbeef"));
    assert_eq!(group.start_function, None);
    assert_eq!(group.wait_reasons["wait reason 77"], 1);
    assert_eq!(group.blocked_at[0].stack[0].pc.as_deref(), Some("0xdead"));
}

#[test]
fn a_stack_that_is_cut_says_so_and_where() {
    let mut service = Service::new();
    let mut go = Go::simple(&mut service.code, "order");
    go.stands.truncate(3);
    service.in_memory(7, &go, Waiting, SELECT);
    service.cut_last(StackEnd::Broken(Pc(0x7f00)));
    let report = service.report(HOUR + SECOND, &View::default());
    let stack = &report.groups[0].blocked_at[0].stack;
    let last = stack.last().unwrap();
    assert_eq!(stack[0].function.as_deref(), Some("order.(*Server).serve"));
    assert_eq!(
        (last.function.as_deref(), last.pc.as_deref()),
        (Some("...stack cut: no Go function table has this address..."), Some("0x7f00"))
    );
    assert_eq!(report.groups[0].start_function.as_deref(), Some("order.(*Server).serve"));
}

#[test]
fn the_books_balance_or_say_what_is_under_way() {
    let traced = Traced { produced: 100, decoded: 90, undecodable: 1, dropped: [5, 1, 2] };
    let completeness =
        leaktrace_core::report::completeness(&traced, leaktrace_core::trace::registry::Counts::default(), 0);
    assert!(!completeness.balances());
    assert_eq!((completeness.in_flight, completeness.lost()), (1, 7), "forks are no loss");
    let done = Traced { decoded: 91, ..traced };
    assert!(
        leaktrace_core::report::completeness(&done, leaktrace_core::trace::registry::Counts::default(), 0)
            .balances()
    );
}

#[test]
fn goroutines_that_are_ignored_are_in_no_group_and_counted() {
    let functions = |name: &str| vec![name.to_owned()];
    let ways = [
        Ignore { top: functions("order.(*Server).serve"), ..Ignore::default() },
        Ignore { any: functions("order.(*Server).serve"), ..Ignore::default() },
        Ignore { created_by: functions("order.(*Server).accept"), ..Ignore::default() },
    ];
    for ignore in ways {
        let mut service = Service::new();
        let [order, price] = ["order", "price"].map(|name| Go::simple(&mut service.code, name));
        service.ignore = ignore;
        for goid in 1..=3 {
            service.in_memory(goid, &order, Waiting, SELECT);
        }
        service.in_memory(9, &price, Waiting, SELECT);
        let report = service.report(HOUR, &View::default());
        assert_eq!((report.groups.len(), report.not_listed.ignored_live, report.totals.live), (1, 3, 4));
        assert_eq!(report.groups[0].created_by.function.as_deref(), Some("price.(*Server).accept"));
        assert!(as_text(&report).contains("not listed: 3 goroutines ignored"), "{}", as_text(&report));
    }
}

#[test]
fn a_group_that_has_others_too_is_listed_whole() {
    let mut service = Service::new();
    let order = Go::simple(&mut service.code, "order");
    let mut elsewhere = Go::simple(&mut service.code, "order");
    elsewhere.stands.pop();
    service.ignore = Ignore { top: vec!["order.(*Server).serve".to_owned()], ..Ignore::default() };
    service.in_memory(1, &order, Waiting, SELECT);
    service.in_memory(2, &elsewhere, Waiting, SELECT);
    let report = service.report(HOUR, &View::default());
    assert_eq!((report.groups[0].live, report.not_listed.ignored_live), (2, 0));
}
