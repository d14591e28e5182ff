//! Ring 2: programs that do not hold still: a leaking HTTP service, workers, tickers, busy goroutines, very many.

use leaktrace_tests::leaktrace::{Running, WHOLE, watch};
use leaktrace_tests::poll::{PATIENCE, poll_until};
use leaktrace_tests::privilege::can_probe;
use leaktrace_tests::{Mode, Program, Target, Version};

#[test]
fn a_leaking_handler_is_found_with_its_caller() {
    if !can_probe() {
        return;
    }
    let arguments = "-control -slow 4";
    let mut target = Target::start_program(Program::Service, Version::NEWEST, Mode::Stripped, arguments);
    let running = Running::attach(target.pid(), WHOLE);
    target.command("order 20");
    poll_until(PATIENCE, "the slow answers have come too late", || {
        let late = target.goroutines().iter().filter(|goroutine| goroutine.state == "chan send").count();
        (late == 5 && target.state().site("price").finished == 15).then_some(())
    });
    let report = running.stop().report();
    let leak = report.group("main.(*shop).priceWithin");
    assert_eq!((leak.born, leak.ended, leak.live, leak.wait_reasons["chan send"]), (20, 15, 5, 5));
    let stack: Vec<String> = leak.creation_stack.iter().map(|frame| frame.place().function).collect();
    assert_eq!(stack[..2], ["main.(*shop).priceWithin", "main.(*shop).order"]);
    assert_eq!(report.groups[0].creator(), "main.(*shop).priceWithin", "the leak comes first");
}

#[test]
fn c_code_that_led_to_a_go_statement_has_names() {
    if !can_probe() {
        return;
    }
    let mut target = Target::start(Version::NEWEST, Mode::Cgo, "cgo_call=1");
    let running = Running::attach(target.pid(), WHOLE);
    target.command("start cgo_creator=2");
    let report = running.stop().report();
    let group = report.group("main.startedBelowC");
    assert_eq!(group.born, 2);
    let stack: Vec<String> = group.creation_stack.iter().map(|frame| frame.place().function).collect();
    assert!(stack.iter().any(|function| function == "call_back"), "{stack:?}");
    assert_eq!(stack[..2], ["main.startedBelowC", "main.goCallback"]);
}

#[test]
fn goroutines_that_work_are_counted_where_they_are() {
    if !can_probe() {
        return;
    }
    let mut target = Target::start(Version::NEWEST, Mode::Plain, "busy=1 ticker=3 pool=4 leak_chan_send=2");
    let running = Running::attach(target.pid(), WHOLE);
    target.command("work 500");
    let state = target.state();
    let report = running.stop().report();
    for (creator, live) in [("main.busy", 1), ("main.ticker", 3), ("main.pool", 4), ("main.leakChanSend", 2)]
    {
        assert_eq!(report.group(creator).live, live, "{creator}");
    }
    assert_eq!(report.totals.live, state.num_goroutine);
}

#[test]
fn a_hundred_thousand_goroutines_are_all_there() {
    if !can_probe() {
        return;
    }
    let target = Target::start(Version::NEWEST, Mode::Stripped, "parked=100000");
    let report = watch(target.pid());
    let group = report.group("main.parked");
    assert_eq!((group.live, group.wait_reasons["chan receive"]), (100_000, 100_000));
}
