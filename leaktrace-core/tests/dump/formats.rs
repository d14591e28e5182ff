//! What each format makes of the sample.

use std::fmt::Write;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use leaktrace_core::base::num::Avma;
use leaktrace_core::dump::group::By;
use leaktrace_core::dump::render::pprof::{Kept, profile, proto::Profile};
use leaktrace_core::dump::render::{Arguments, FORMATS, Labels, Options, render};
use leaktrace_core::goroutines::model::{BlockedOn, Channel, ChannelOperation};
use leaktrace_core::goroutines::snapshot::{decode, encode};
use leaktrace_core::goroutines::{Dump, DumpGoroutine};
use prost::Message;

use crate::sample::{Sample, sample};

fn bytes(format: &str, dump: &Dump, options: &Options) -> Vec<u8> {
    let mut out = Vec::new();
    render(FORMATS.named(format).unwrap(), dump, options, &mut out).unwrap();
    out
}

fn text(format: &str, options: &Options) -> String {
    String::from_utf8(bytes(format, &sample(), options)).unwrap()
}

#[test]
fn debug2() {
    insta::assert_snapshot!(text("debug2", &Options::default()));
}

#[test]
fn debug2_with_everything_shown_and_no_values() {
    let options = Options {
        arguments: Arguments::Hidden,
        labels: Labels::Never,
        include_runtime: true,
        all_frames: true,
        ..Options::default()
    };
    insta::assert_snapshot!(text("debug2", &options));
}

#[test]
fn debug1() {
    insta::assert_snapshot!(text("debug1", &Options::default()));
}

#[test]
fn json() {
    let options = Options { by: By::CreatedBy, ..Options::default() };
    let json: serde_json::Value = serde_json::from_str(&text("json", &options)).unwrap();
    insta::assert_json_snapshot!(json);
}

#[test]
fn groups_as_text() {
    insta::assert_snapshot!("text", text("text", &Options::default()));
    let options = Options { by: By::BlockedOn, ..Options::default() };
    insta::assert_snapshot!("text_by_blocked_on", text("text", &options));
}

#[test]
fn folded() {
    insta::assert_snapshot!(text("folded", &Options::default()));
    let options = Options { by: By::BlockedOn, all_frames: true, ..Options::default() };
    insta::assert_snapshot!("folded_by_blocked_on", text("folded", &options));
}

#[cfg(feature = "svg")]
#[test]
fn a_flame_graph_has_every_function_and_no_markup_from_names() {
    let svg = text("svg", &Options::default());
    assert!(svg.contains("order.(*Worker[...]).process"), "{svg}");
    assert!(svg.contains("Goroutines of orders (pid 1234)"), "{svg}");
    assert!(!svg.contains("<script>alert"), "{svg}");
    let empty = String::from_utf8(bytes("svg", &Dump::default(), &Options::default())).unwrap();
    assert!(empty.contains("no goroutines"), "{empty}");
}

fn described(profile: &Profile) -> String {
    let string = |index: i64| &profile.string_table[usize::try_from(index).unwrap()];
    let line = |line: &leaktrace_core::dump::render::pprof::proto::Line| {
        let function = &profile.function[usize::try_from(line.function_id).unwrap() - 1];
        format!("{}:{} from {}", string(function.name), line.line, function.start_line)
    };
    let mut text = String::new();
    for sample in &profile.sample {
        let labels: Vec<_> =
            sample.label.iter().map(|label| (string(label.key), string(label.str))).collect();
        writeln!(text, "{:?} {labels:?}", sample.value).unwrap();
        for id in &sample.location_id {
            let location = &profile.location[usize::try_from(*id).unwrap() - 1];
            let lines: Vec<_> = location.line.iter().map(line).collect();
            writeln!(text, "  {:#x} in {} {lines:?}", location.address, location.mapping_id).unwrap();
        }
    }
    text
}

#[test]
fn the_protobuf_profile() {
    let dump = sample();
    let ours = profile(&dump, &Options::default());
    insta::assert_snapshot!(described(&ours));
    let mut encoded = Vec::new();
    let gzip = bytes("pprof", &dump, &Options::default());
    GzDecoder::new(gzip.as_slice()).read_to_end(&mut encoded).unwrap();
    assert_eq!(Profile::decode(encoded.as_slice()).unwrap(), ours);
    assert_eq!(gzip, bytes("pprof", &sample(), &Options::default()));
}

#[test]
fn the_protobuf_profile_by_creation() {
    let options = Options { by: By::CreatedBy, ..Options::default() };
    insta::assert_snapshot!(described(&profile(&sample(), &options)));
}

#[test]
fn formats_go_by_name_and_by_ending() {
    for format in FORMATS.all() {
        assert_eq!(FORMATS.named(format.name), Some(format));
    }
    let of_file = |name: &str| FORMATS.of_file(Path::new(name));
    assert_eq!(of_file("g.pb.gz"), FORMATS.named("pprof"));
    assert_eq!(of_file("/tmp/a.ltr"), FORMATS.named("ltr"));
    assert_eq!((of_file("g"), of_file("/tmp.json/goroutines")), (None, None));
}

#[test]
fn the_page_holds_hostile_names_as_data_only() {
    let page = text("html", &Options { by: By::BlockedOn, ..Options::default() });
    assert_eq!(page.matches("<script").count(), 2, "the page's data and its own script");
    assert_eq!(page.matches("</script>").count(), 2);
    assert!(!page.contains("http://") && !page.contains("https://"), "the page asks for nothing");
    let (_, rest) = page.split_once("id=\"data\">").unwrap();
    let (data, _) = rest.split_once("</script>").unwrap();
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    insta::assert_json_snapshot!(data);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]

    #[test]
    fn any_dump_can_be_written(dump in crate::made_up::dumps()) {
        let all = Options { all_frames: true, include_runtime: true, labels: Labels::Always, ..Options::default() };
        for by in By::ALL {
            for format in FORMATS.all() {
                let options = Options { by, ..all.clone() };
                proptest::prop_assert_eq!(bytes(format.name, &dump, &options), bytes(format.name, &dump, &options));
            }
        }
        let profile = profile(&dump, &Options::default());
        let total: i64 = profile.sample.iter().map(|sample| sample.value[0]).sum();
        proptest::prop_assert_eq!(usize::try_from(total).unwrap(), dump.user_goroutines().count());
    }
}

#[test]
fn what_remains_of_a_sleep_is_not_made_up_where_nobody_knows_the_time() {
    let mut sample = Sample::new();
    for goid in [40, 41] {
        let goroutine = sample.waiting(goid, "sleep", &["time.Sleep runtime/time.go:195"]);
        let blocked_on = Some(sample.builder.blocked_on(BlockedOn::Sleep { remaining_ns: None }));
        sample.builder.goroutine(DumpGoroutine { blocked_on, ..goroutine });
    }
    let mut file = Vec::new();
    encode(&sample.builder.finish(), &mut file).unwrap();
    let dump = decode(&file).unwrap();
    let by = Options { by: By::BlockedOn, ..Options::default() };
    let text = |format| String::from_utf8(bytes(format, &dump, &by)).unwrap();
    assert!(text("text").contains("2 goroutines sleep\n"), "{}", text("text"));
    let json = text("json");
    assert!(json.contains(r#""blocked_on":{"kind":"sleep"}"#) && !json.contains("remaining"), "{json}");
}

#[test]
fn a_stopped_timer_is_shown_whether_or_not_channels_know_their_timers() {
    for timer in [true, false] {
        let mut sample = Sample::new();
        let element = Some(sample.builder.string("time.Time"));
        let channel = sample.builder.channel(Channel {
            address: Avma(0xc0_0002_0000),
            element,
            length: 0,
            capacity: 1,
            closed: false,
            timer,
            stopped: true,
            receivers: 1,
            senders: 0,
        });
        let goroutine = sample.waiting(40, "chan receive", &["main.tick /src/main.go:7"]);
        let blocked_on = BlockedOn::Channel { operation: ChannelOperation::Receive, channel };
        let blocked_on = Some(sample.builder.blocked_on(blocked_on));
        sample.builder.goroutine(DumpGoroutine { blocked_on, ..goroutine });
        let by = Options { by: By::BlockedOn, ..Options::default() };
        let text = String::from_utf8(bytes("text", &sample.builder.finish(), &by)).unwrap();
        assert!(text.contains("cap 1, of a stopped timer, 1 receiving"), "{timer}: {text}");
        let sentence = "1 goroutine receives from a channel that no timer is going to send on";
        assert!(text.contains(sentence), "{timer}: {text}");
    }
}

#[test]
fn the_documentation_says_which_extension_gives_which_format() {
    let documented = include_str!("../../../docs/dump.md");
    for format in FORMATS.all().iter().filter(|format| !format.extensions.is_empty()) {
        let extensions: Vec<String> = format.extensions.iter().map(|one| format!("`{one}`")).collect();
        let row = format!("| {} | `{}` |", extensions.join(", "), format.name);
        assert!(documented.contains(&row), "{row}");
    }
}

#[test]
fn what_two_profiles_have_in_common_is_no_difference() {
    let (before, after) =
        (profile(&Dump::default(), &Options::default()), profile(&sample(), &Options::default()));
    let none = Kept::new(&after).until(&after).unwrap();
    assert_eq!((none.sample.len(), none.location.len(), none.duration_nanos), (0, 0, 0));
    let all = Kept::new(&before).until(&after).unwrap();
    assert_eq!((described(&all), all.time_nanos), (described(&after), after.time_nanos));
    assert_eq!(all.duration_nanos, after.time_nanos);
    let gone = Kept::new(&after).until(&before).unwrap();
    assert!(gone.sample.iter().all(|sample| sample.value[0] < 0), "{gone:?}");
    assert_eq!((gone.sample.len(), gone.duration_nanos), (after.sample.len(), 0));
}
