use super::*;

/// A recorder of whose messages nobody takes any.
fn stuck() -> (Recorder, queue::Outcome<(Message, Ktime)>) {
    let (to, messages) = queue(MOST_WAITING);
    let rest =
        Rest { path: PathBuf::new(), thread: std::thread::spawn(|| Ok(())), broken: mpsc::channel().1 };
    let (batch, left_out) = (Records::default(), LeftOut::default());
    (Recorder { batch, left_out, metered: Ktime(0), is_ending: false, to, rest }, messages)
}

fn walk(bytes: usize) -> Recorded {
    Recorded { walk: vec![0; bytes / 2], addresses: Vec::new(), snapshot: vec![0; bytes / 2], last: false }
}

#[test]
fn what_cannot_be_written_in_time_is_left_out_and_counted_whatever_it_is() {
    let (mut recorder, mut messages) = stuck();
    for _ in 0..10 {
        recorder.asked();
        recorder.walked(walk(MOST_WAITING / 2), false);
        (0..100).for_each(|_| recorder.record(&[0; 100]));
        recorder.counted(Meter::default());
    }
    recorder.walked(walk(1000), true);
    let rest = recorder.finish();
    let (mut walks, mut records, mut left_out) = (Vec::new(), 0, LeftOut::default());
    while let Some((message, _)) = messages.take() {
        match message {
            Message::Walked(recorded) => walks.push((recorded.walk.len(), recorded.last)),
            Message::Records(batch) => records += batch.len(),
            Message::LeftOut(until_now) => left_out = until_now,
            Message::Asked | Message::Ends(_) | Message::Counted(_) => {}
        }
    }
    assert_eq!(walks, [(MOST_WAITING / 4, false), (MOST_WAITING / 4, false), (500, true)]);
    assert_eq!((left_out.snapshots, records), (8, 100));
    assert_eq!(records + left_out.records, 1000);
    assert!(rest.wait().is_ok());
}
