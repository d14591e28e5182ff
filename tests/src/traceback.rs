//! Parses the debug=2 text in which a Go program lists its own goroutines.

/// One goroutine as the Go runtime prints it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GoroutineText {
    /// The goroutine's id.
    pub id: u64,
    /// The status or wait reason, e.g. `chan receive`, without minutes and other remarks.
    pub state: String,
    /// What follows the state in the brackets, e.g. `locked to thread`, `5 minutes`.
    pub remarks: Vec<String>,
    /// The stack, innermost first.
    pub frames: Vec<TracebackFrame>,
    /// Whether frames in the middle or at the end were left out.
    pub elided: bool,
    /// The `go` statement; none for the main goroutine.
    pub created_by: Option<CreatedBy>,
}

/// One line of a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TracebackFrame {
    /// The function, with type arguments shown as `[...]`.
    pub function: String,
    /// The source file as the compiler recorded it.
    pub file: String,
    /// The line in it.
    pub line: u32,
    /// The distance from the function's entry; inlined frames have none.
    pub offset: Option<u64>,
}

/// Where a goroutine was created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreatedBy {
    /// The function with the `go` statement, and its place.
    pub frame: TracebackFrame,
    /// The goroutine that ran it (Go 1.21 and later say so).
    pub parent: Option<u64>,
}

impl GoroutineText {
    /// Whether it is in none of the states of a goroutine that executes.
    pub fn is_waiting(&self) -> bool {
        !matches!(self.state.as_str(), "running" | "runnable" | "copystack" | "preempted")
    }

    /// The name of the function with its `go` statement; empty for the main goroutine.
    pub fn creator(&self) -> &str {
        self.created_by.as_ref().map_or("", |created| &created.frame.function)
    }
}

/// Every goroutine in the text.
///
/// # Panics
/// When the text is not what Go 1.19 to 1.27 write.
#[track_caller]
pub fn parse(text: &str) -> Vec<GoroutineText> {
    let blocks = text.split("\n\n").filter(|block| !block.trim().is_empty());
    blocks
        .map(|block| parse_goroutine(block).unwrap_or_else(|| panic!("unknown traceback text:\n{block}")))
        .collect()
}

/// A function name as tracebacks print it, but with the dots of its import path: type arguments are not spelled out, and
/// gopanic is called `panic`.
pub fn printed_name(function: &str) -> String {
    if function == "runtime.gopanic" {
        return "panic".to_owned();
    }
    match (function.find('['), function.rfind(']')) {
        (Some(open), Some(close)) if open < close => {
            format!("{}[...]{}", function[..open].replace("%2e", "."), &function[close + 1..])
        }
        _ => function.replace("%2e", "."),
    }
}

fn parse_goroutine(block: &str) -> Option<GoroutineText> {
    let mut lines = block.lines();
    let mut goroutine = parse_header(lines.next()?)?;
    while let Some(line) = lines.next() {
        let elided = line.ends_with("frames elided...");
        if elided || line.ends_with("; stack unavailable") {
            goroutine.elided = true;
        } else if let Some(creator) = line.strip_prefix("created by ") {
            goroutine.created_by = Some(parse_creator(creator, lines.next()?)?);
        } else {
            let (function, _arguments) = line.rsplit_once('(')?;
            goroutine.frames.push(parse_frame(function, lines.next()?)?);
        }
    }
    Some(goroutine)
}

/// `goroutine 7 [chan receive, 2 minutes, locked to thread] {label: value}:`
fn parse_header(line: &str) -> Option<GoroutineText> {
    let (id, rest) = line.strip_prefix("goroutine ")?.split_once(' ')?;
    let (_, rest) = rest.split_once('[')?;
    let (inside, _labels) = rest.rsplit_once(']')?;
    let mut parts = inside.split(", ").map(str::to_owned);
    let state = parts.next()?;
    Some(GoroutineText { id: id.parse().ok()?, state, remarks: parts.collect(), ..GoroutineText::default() })
}

fn parse_creator(creator: &str, place: &str) -> Option<CreatedBy> {
    let (function, parent) = match creator.split_once(" in goroutine ") {
        Some((function, parent)) => (function, Some(parent.parse().ok()?)),
        None => (creator, None),
    };
    Some(CreatedBy { frame: parse_frame(function, place)?, parent })
}

/// `\tfile.go:12 +0x1d`, without the offset for inlined frames.
fn parse_frame(function: &str, place: &str) -> Option<TracebackFrame> {
    let place = place.strip_prefix('\t')?;
    let (place, offset) = match place.rsplit_once(" +0x") {
        Some((place, offset)) => (place, Some(u64::from_str_radix(offset, 16).ok()?)),
        None => (place, None),
    };
    let (file, line) = place.rsplit_once(':')?;
    Some(TracebackFrame {
        function: printed_name(function),
        file: file.to_owned(),
        line: line.parse().ok()?,
        offset,
    })
}

#[cfg(test)]
mod tests {
    use super::{parse, printed_name};

    const TEXT: &str = "goroutine 1 [running]:
main.Stacks()
\tx/control.go:80 +0x45

goroutine 18 [chan receive, 3 minutes, locked to thread]:
work%2eer.Wait[...](...)
\twork.er/worker.go:5
work%2eer.(*Box[...]).Take(0xc000012345?)
\twork.er/worker.go:11 +0x1d
...23 frames elided...
created by main.generic in goroutine 1
\tscenarios/shapes.go:31 +0x85

goroutine 19 [select] {kind: x}:
main.f({0x1, 0x2})
\ta.go:1 +0x1
created by main.g
\ta.go:2 +0x2
";

    #[test]
    fn the_text_of_all_releases_is_understood() {
        let goroutines = parse(TEXT);
        assert_eq!(goroutines.iter().map(|goroutine| goroutine.id).collect::<Vec<_>>(), [1, 18, 19]);
        let boxed = &goroutines[1];
        assert_eq!(boxed.state, "chan receive");
        assert_eq!(boxed.remarks, ["3 minutes", "locked to thread"]);
        assert_eq!(boxed.frames[1].function, "work.er.(*Box[...]).Take");
        assert_eq!((boxed.frames[0].offset, boxed.frames[1].offset), (None, Some(0x1d)));
        assert!(boxed.elided);
        assert_eq!(boxed.created_by.as_ref().and_then(|created| created.parent), Some(1));
        assert_eq!(goroutines[2].state, "select");
        assert_eq!(goroutines[2].creator(), "main.g");
    }

    #[test]
    fn type_arguments_are_not_spelled_out() {
        assert_eq!(printed_name("p.(*Box[go.shape.map[string]int]).Take"), "p.(*Box[...]).Take");
        assert_eq!(printed_name("main.main"), "main.main");
    }
}
