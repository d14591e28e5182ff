use super::*;

fn studies(obstacle: Option<&str>) -> Studies {
    let means = Means { obstacle: obstacle.map(str::to_owned), max_overhead: Overhead(Some(0.01)) };
    Studies::new(0.01, means, Ktime(0), mpsc::unbounded_channel().0)
}

#[test]
fn only_the_line_of_a_suspect_is_probed_and_only_where_that_can_be() {
    let pc = "0x401000".to_owned();
    let at = |line| Location { function: None, file: Some("/src/main.go".to_owned()), line, pc: pc.clone() };
    let site = Probed::Site("/src/main.go:67".parse().unwrap());
    assert_eq!(studies(None).probed(Some(&at(Some(67)))), (site, None));
    assert_eq!(studies(None).probed(None), (Probed::Nothing, None));
    let (probed, reason) = studies(None).probed(Some(&at(None)));
    assert_eq!(
        (probed, reason.unwrap().as_str()),
        (Probed::Nothing, "the line of the go statement at 0x401000 is not known")
    );
    let refused = studies(Some("CAP_BPF is missing")).probed(Some(&at(Some(67))));
    assert_eq!(refused, (Probed::Nothing, Some("CAP_BPF is missing".to_owned())));
}

/// A study of a minute that began at 0.
fn study(probed: Probed) -> Study {
    let process = std::fs::File::open("/dev/null").unwrap().into();
    let way = Way { probed, lasts: Duration::from_mins(1), max_overhead: Overhead(None) };
    Study {
        process,
        way,
        began: Ktime(0),
        until: Ktime(60_000_000_000),
        is_ended: false,
        level: Level::Memory,
        reason: None,
        next: None,
    }
}

#[test]
fn a_study_that_cannot_probe_goes_on_from_memory_for_the_rest_of_its_time() {
    let refused = || Some("attaching is refused".to_owned());
    let after = |study: Study, error, second: u64| {
        let next = study.after(error, Ktime(second * 1_000_000_000));
        next.map(|(way, reason)| (way.probed, way.lasts.as_secs(), reason))
    };
    assert_eq!(after(study(Probed::Lives), refused(), 20), Some((Probed::Nothing, 40, refused())));
    assert_eq!(after(study(Probed::Lives), refused(), 58), None, "it is as good as over");
    assert_eq!(after(study(Probed::Lives), None, 20), None, "it has ended by itself");
    assert_eq!(after(study(Probed::Nothing), refused(), 20), None, "nothing is more modest");
    let mut replaced = study(Probed::Nothing);
    replaced.next = Some(Way { probed: Probed::All, ..replaced.way.clone() });
    assert_eq!(after(replaced, None, 20), Some((Probed::All, 60, None)));
}
