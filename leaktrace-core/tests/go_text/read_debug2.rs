//! Reads the text of `runtime.Stack`. What the text does not show, the hidden frames, is in the fixture.

use leaktrace_core::base::num::Goid;
use leaktrace_core::go::names::Status;
use leaktrace_core::goroutines::model::{Arguments, DumpGoroutine, LocationId};
use leaktrace_core::goroutines::{Dump, DumpBuilder};
use regex::Regex;

use crate::fixture::{Fixture, RawFrame, location};

/// One frame as it is printed.
struct TextFrame {
    function: String,
    arguments: String,
    file: String,
    line: u32,
    offset: u64,
    inlined: bool,
}

pub(crate) fn read(fixture: &Fixture, text: &str) -> Dump {
    let mut builder = fixture.builder();
    for (index, block) in text.trim_end().split("\n\n").enumerate() {
        let mut lines = block.lines();
        let mut goroutine = header(fixture, &mut builder, lines.next().unwrap());
        let rest: Vec<_> = lines.collect();
        let created = rest.iter().position(|line| line.starts_with("created by ")).unwrap_or(rest.len());
        let shown = frames(&rest[..created]);
        match index.checked_sub(1).and_then(|index| fixture.stacks.get(index)) {
            Some(stack) => complete(fixture, &mut builder, &mut goroutine, stack, &shown),
            None => as_shown(&mut builder, &mut goroutine, &shown),
        }
        if let [creator, place] = &rest[created..] {
            created_by(&mut builder, &mut goroutine, creator, place);
        }
        builder.goroutine(goroutine);
    }
    builder.finish()
}

fn header(fixture: &Fixture, builder: &mut DumpBuilder, line: &str) -> DumpGoroutine {
    let line = line.strip_prefix("goroutine ").and_then(|line| line.strip_suffix(':')).unwrap();
    let (goid, rest) = line.split_once(" [").unwrap();
    let (inside, labels) = if fixture.version.starts_with("go1.26") {
        let inside = rest.strip_suffix(']').unwrap();
        inside.split_once(" labels:").unwrap_or((inside, ""))
    } else {
        rest.split_once(']').unwrap()
    };
    let mut parts = inside.split(", ");
    let (status, reason, leaked) = status(parts.next().unwrap());
    let stack = builder.stack(&[]);
    let mut goroutine = DumpGoroutine::new(Goid(goid.parse().unwrap()), status, stack);
    goroutine.wait_reason = (!reason.is_empty()).then(|| builder.string(&reason));
    if leaked {
        goroutine.status = Status::Leaked;
    }
    for part in parts {
        match part.split(' ').collect::<Vec<_>>()[..] {
            [minutes, "minutes"] => {
                goroutine.waiting_ns =
                    Some(minutes.parse::<u64>().unwrap() * 60_000_000_000 + 59_000_000_000);
            }
            ["locked", "to", "thread"] => goroutine.locked = true,
            ["synctest", _, bubble] => goroutine.bubble = Some(bubble.parse().unwrap()),
            _ => panic!("what is {part:?}?"),
        }
    }
    let labels = read_labels(labels);
    goroutine.labels = builder.labels(labels.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    goroutine
}

fn status(text: &str) -> (Status, String, bool) {
    let (text, leaked) = text.strip_suffix(" (leaked)").map_or((text, false), |text| (text, true));
    let name = match text.strip_suffix(" (durable)") {
        // This reason's own name ends so.
        Some("sync.WaitGroup.Wait" | "chan receive" | "chan send" | "select") | None => text,
        Some(name) => name,
    };
    let status = match name {
        "running" => Status::Running,
        "runnable" => Status::Runnable,
        "syscall" => Status::Syscall,
        _ => return (Status::Waiting, name.to_owned(), leaked),
    };
    (status, String::new(), leaked)
}

/// `{"key": "value", key: value}`
fn read_labels(text: &str) -> Vec<(String, String)> {
    let Some(mut rest) = text.trim_start().strip_prefix('{').and_then(|text| text.strip_suffix('}')) else {
        return Vec::new();
    };
    let mut labels = Vec::new();
    while !rest.is_empty() {
        let (key, after) = read_word(rest);
        let (value, after) = read_word(after.strip_prefix(": ").unwrap());
        labels.push((key, value));
        rest = after.strip_prefix(", ").unwrap_or(after);
    }
    labels
}

fn read_word(text: &str) -> (String, &str) {
    if text.starts_with('"') {
        return crate::read_debug1::unquote(text);
    }
    let end = text.find([':', ',']).unwrap_or(text.len());
    (text[..end].to_owned(), &text[end..])
}

fn frames(lines: &[&str]) -> Vec<TextFrame> {
    let shown: Vec<_> = lines.iter().filter(|line| !line.starts_with("...")).collect();
    shown.chunks_exact(2).map(|pair| frame(pair[0], pair[1])).collect()
}

fn frame(call: &str, place: &str) -> TextFrame {
    let open = call.rfind('(').unwrap();
    let function = if &call[..open] == "panic" { "runtime.gopanic" } else { &call[..open] };
    let (file, line, offset) = read_place(place);
    TextFrame {
        function: function.to_owned(),
        arguments: call[open + 1..call.len() - 1].to_owned(),
        file,
        line,
        offset: offset.unwrap_or(0),
        inlined: offset.is_none(),
    }
}

fn read_place(place: &str) -> (String, u32, Option<u64>) {
    let (place, offset) = match place.trim_start().split_once(" +0x") {
        Some((place, offset)) => (place, Some(u64::from_str_radix(offset, 16).unwrap())),
        None => (place.trim_start(), None),
    };
    let (file, line) = place.rsplit_once(':').unwrap();
    (file.to_owned(), line.parse().unwrap(), offset)
}

/// Gives the goroutine its complete stack and the arguments of those frames that are shown.
fn complete(
    fixture: &Fixture,
    builder: &mut DumpBuilder,
    goroutine: &mut DumpGoroutine,
    stack: &[usize],
    shown: &[TextFrame],
) {
    let stack: Vec<_> = stack.iter().map(|&index| fixture.frames[index].clone()).collect();
    let mut arguments = vec![None; stack.len()];
    // The middle of a long stack is left out: look for the inner half from within, for the rest from outside.
    let (inner, outer) = shown.split_at(shown.len().min(50));
    let mut from = 0;
    for text in inner {
        from += stack[from..].iter().position(|frame| is_same(frame, text)).unwrap() + 1;
        arguments[from - 1] = argument(text);
    }
    let mut to = stack.len();
    for text in outer.iter().rev().take_while(|_| fixture.version.as_str() > "go1.20") {
        to = stack[..to].iter().rposition(|frame| is_same(frame, text)).unwrap();
        arguments[to] = argument(text);
    }
    for text in outer.iter().take_while(|_| fixture.version.as_str() < "go1.20") {
        from += stack[from..].iter().position(|frame| is_same(frame, text)).unwrap() + 1;
        arguments[from - 1] = argument(text);
    }
    let locations = Fixture::locations(builder, &stack);
    goroutine.stack = builder.stack(&locations);
    goroutine.arguments = Some(known(builder, &arguments));
}

fn is_same(frame: &RawFrame, text: &TextFrame) -> bool {
    frame.function == text.function
        && (&frame.file, frame.line, frame.inlined) == (&text.file, text.line, text.inlined)
}

fn argument(text: &TextFrame) -> Option<&str> {
    (!text.inlined).then_some(&text.arguments)
}

/// Takes the values out of what is printed.
fn known(builder: &mut DumpBuilder, arguments: &[Option<&str>]) -> Arguments {
    let number = Regex::new("0x[0-9a-f]+").unwrap();
    let numbers = arguments.iter().flatten().flat_map(|text| number.find_iter(text));
    let values: Vec<_> = numbers.map(|hex| u64::from_str_radix(&hex.as_str()[2..], 16).unwrap()).collect();
    let texts = arguments.iter().map(|text| text.map(|text| builder.string(&number.replace_all(text, "#"))));
    let texts = texts.collect();
    Arguments { texts: builder.arguments(texts), values: builder.values(&values, None) }
}

/// Gives the goroutine the stack that is shown, the fixture having no other.
fn as_shown(builder: &mut DumpBuilder, goroutine: &mut DumpGoroutine, shown: &[TextFrame]) {
    let locations: Vec<_> = shown.iter().map(|text| shown_location(builder, text)).collect();
    let arguments: Vec<_> = shown.iter().map(argument).collect();
    goroutine.stack = builder.stack(&locations);
    goroutine.arguments = Some(known(builder, &arguments));
}

fn shown_location(builder: &mut DumpBuilder, text: &TextFrame) -> LocationId {
    let frame = RawFrame {
        pc: (0x1000 + text.offset).saturating_sub(1),
        entry: 0x1000,
        function: text.function.clone(),
        file: text.file.clone(),
        line: text.line,
        inlined: text.inlined,
    };
    location(builder, &frame, false)
}

fn created_by(builder: &mut DumpBuilder, goroutine: &mut DumpGoroutine, creator: &str, place: &str) {
    let creator = creator.strip_prefix("created by ").unwrap();
    let (function, parent) = match creator.split_once(" in goroutine ") {
        Some((function, parent)) => (function, Some(Goid(parent.parse().unwrap()))),
        None => (creator, None),
    };
    let (file, line, offset) = read_place(place);
    let text = TextFrame {
        function: function.to_owned(),
        arguments: String::new(),
        file,
        line,
        offset: offset.unwrap_or(0),
        inlined: false,
    };
    goroutine.parent = parent;
    goroutine.created_by = Some(shown_location(builder, &text));
}
