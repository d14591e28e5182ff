//! The text of `runtime.Stack`, exactly as the target's release prints it.

mod known;
mod template;

use std::io::{self, Write};

use super::bytes::push_decimal;
use super::quote::{needs_quotes, runtime_quote};
use super::{Arguments, Labels, Options};
use crate::base::num::Goid;
use crate::base::time::MINUTE_NS;
use crate::go::names::Status;
use crate::goroutines::Dump;
use crate::goroutines::model::{self, DumpGoroutine, FrameArguments, FunctionKind, LocationId, NamedFrame};
use crate::goroutines::text_rules::{Elision, LabelStyle, TextRules, is_durable_reason};
use known::Known;
use template::{Shape, Template};

/// How much text is written at once, in bytes.
const BUFFER: usize = 64 << 10;

pub(super) fn render(dump: &Dump, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let text = Text { dump, options, rules: TextRules::of(&dump.target.go_version) };
    let mut known = Known::new(dump);
    let mut buffer = Vec::with_capacity(2 * BUFFER);
    for (index, goroutine) in options.goroutines(dump).enumerate() {
        if index > 0 {
            buffer.push(b'\n');
        }
        text.header(goroutine, &mut buffer)?;
        text.stack(goroutine, &mut known, &mut buffer)?;
        text.created_by(goroutine, &mut known, &mut buffer)?;
        if buffer.len() >= BUFFER {
            out.write_all(&buffer)?;
            buffer.clear();
        }
    }
    out.write_all(&buffer)
}

/// One line or two of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// The frame with this index.
    Frame(usize),
    /// So many frames were left out here.
    Elided(usize),
    /// All further frames were left out.
    MoreElided,
}

struct Text<'d> {
    dump: &'d Dump,
    options: &'d Options,
    rules: TextRules,
}

impl Text<'_> {
    /// `goroutine 1 [chan receive, 2 minutes, locked to thread]:`
    fn header(&self, goroutine: &DumpGoroutine, out: &mut Vec<u8>) -> io::Result<()> {
        out.extend_from_slice(b"goroutine ");
        push_decimal(goroutine.goid.0, out);
        out.extend_from_slice(b" [");
        self.status(goroutine, out);
        let waits = matches!(goroutine.status, Status::Waiting | Status::Syscall);
        let minutes = goroutine.waiting_ns.filter(|_| waits).unwrap_or(0) / MINUTE_NS;
        if minutes > 0 {
            out.extend_from_slice(b", ");
            push_decimal(minutes, out);
            out.extend_from_slice(b" minutes");
        }
        if goroutine.locked {
            out.extend_from_slice(b", locked to thread");
        }
        if let (Some(word), Some(bubble)) = (self.rules.bubble_word, goroutine.bubble) {
            write!(out, ", {word} {bubble}")?;
        }
        self.labels(goroutine, out)?;
        out.extend_from_slice(b":\n");
        Ok(())
    }

    /// The state and what is said of it in the brackets before the first comma.
    fn status(&self, goroutine: &DumpGoroutine, out: &mut Vec<u8>) {
        let reason = self.dump.wait_reason(goroutine);
        let status = match goroutine.status {
            Status::Waiting | Status::Leaked if !reason.is_empty() => reason,
            status => status.as_str(),
        };
        out.extend_from_slice(status.as_bytes());
        if goroutine.is_leaked() {
            out.extend_from_slice(b" (leaked)");
        }
        if goroutine.scanning {
            out.extend_from_slice(b" (scan)");
        }
        let idle = goroutine.bubble.is_some() && goroutine.status == Status::Waiting;
        if self.rules.marks_durable && idle && is_durable_reason(reason) {
            out.extend_from_slice(b" (durable)");
        }
    }

    /// The labels and the bracket that closes the status, in the order in which the release has them.
    fn labels(&self, goroutine: &DumpGoroutine, out: &mut Vec<u8>) -> io::Result<()> {
        let has_labels = self.dump.labels(goroutine).next().is_some();
        let style = if has_labels { self.label_style() } else { LabelStyle::Absent };
        let labels = || self.dump.labels(goroutine).collect::<Vec<_>>();
        match style {
            LabelStyle::InBrackets => write!(out, " labels:{{{}}}]", join(&labels(), runtime_quote)),
            LabelStyle::AfterBrackets => write!(out, "] {{{}}}", join(&labels(), quote_if_needed)),
            LabelStyle::Absent => {
                out.push(b']');
                Ok(())
            }
        }
    }

    fn label_style(&self) -> LabelStyle {
        match self.options.labels {
            Labels::AsTarget if self.dump.target.prints_labels => self.rules.label_style,
            Labels::Always if self.rules.label_style == LabelStyle::InBrackets => LabelStyle::InBrackets,
            Labels::Always => LabelStyle::AfterBrackets,
            Labels::AsTarget | Labels::Never => LabelStyle::Absent,
        }
    }

    fn stack(&self, goroutine: &DumpGoroutine, known: &mut Known, out: &mut Vec<u8>) -> io::Result<()> {
        if goroutine.start_only || self.dump.frames(goroutine.stack).len() == 0 {
            return out.write_all(missing_stack(goroutine).as_bytes());
        }
        // Only the values of arguments are a goroutine's own.
        let arguments = goroutine.arguments.filter(|_| self.options.arguments == Arguments::Known);
        let shape = known.values(arguments, &self.dump.tables);
        known.stack(goroutine.stack, shape, out, || self.template(goroutine, arguments, shape))
    }

    /// The text of the frames of all goroutines like this one.
    fn template(
        &self,
        goroutine: &DumpGoroutine,
        arguments: Option<model::Arguments>,
        shape: Shape,
    ) -> io::Result<Template> {
        let mut out = Template::of_shape(shape);
        let frames: Vec<_> = self.dump.frames(goroutine.stack).collect();
        let arguments: Vec<_> =
            arguments.into_iter().flat_map(|arguments| self.dump.tables.arguments_of(arguments)).collect();
        let mut lines = self.lines(&frames, self.options.all_frames);
        if lines.is_empty() {
            lines = self.lines(&frames, true);
        }
        for line in lines {
            match line {
                Line::Frame(index) => {
                    let arguments = arguments.get(index).copied().flatten();
                    self.frame(&frames, index, arguments, &mut out)?;
                }
                Line::Elided(count) => writeln!(out.text, "...{count} frames elided...")?,
                Line::MoreElided => writeln!(out.text, "...additional frames elided...")?,
            }
        }
        Ok(out)
    }

    /// What is shown of a stack.
    fn lines(&self, frames: &[NamedFrame<'_>], all: bool) -> Vec<Line> {
        match self.rules.elision {
            Elision::Outer { kept } => {
                let shown = self.shown(&frames[..physical_prefix(frames, kept)], all);
                let full = shown.len() == kept;
                shown.into_iter().map(Line::Frame).chain(full.then_some(Line::MoreElided)).collect()
            }
            Elision::Middle { inner, outer } => {
                let shown = self.shown(frames, all);
                let Some(elided) = shown.len().checked_sub(inner + outer).filter(|&elided| elided > 0) else {
                    return shown.into_iter().map(Line::Frame).collect();
                };
                let (first, last) = (&shown[..inner], &shown[inner + elided..]);
                let frames = |indices: &[usize]| indices.iter().copied().map(Line::Frame).collect::<Vec<_>>();
                [frames(first), vec![Line::Elided(elided)], frames(last)].concat()
            }
        }
    }

    /// The indices of the frames that the runtime would show.
    fn shown(&self, frames: &[NamedFrame<'_>], all: bool) -> Vec<usize> {
        let mut shown = Vec::new();
        let mut callee = FunctionKind::Normal;
        for (index, frame) in frames.iter().enumerate() {
            if all || self.rules.shows(frame, callee, shown.is_empty()) {
                shown.push(index);
            }
            callee = frame.kind;
        }
        shown
    }

    fn frame(
        &self,
        frames: &[NamedFrame<'_>],
        index: usize,
        arguments: Option<FrameArguments<'_>>,
        out: &mut Template,
    ) -> io::Result<()> {
        let frame = &frames[index];
        if frame.kind == FunctionKind::Cut {
            return cut(frame, &mut out.text);
        }
        if !frame.is_known() || frame.kind == FunctionKind::Foreign {
            return foreign(frame, &mut out.text);
        }
        write!(out.text, "{}(", self.name(frame.function))?;
        out.arguments(arguments);
        writeln!(out.text, ")")?;
        place(frame, physical_offset(frames, index), &mut out.text)
    }

    fn name(&self, function: &str) -> String {
        if function == "runtime.gopanic" {
            return "panic".to_owned();
        }
        self.rules.printed_name(function).concat()
    }

    fn created_by(&self, goroutine: &DumpGoroutine, known: &mut Known, out: &mut Vec<u8>) -> io::Result<()> {
        let Some(at) = goroutine.created_by.filter(|_| goroutine.goid != Goid(1)) else { return Ok(()) };
        let Some((function, place)) = known.creator(at, || self.creator(at))? else { return Ok(()) };
        out.extend_from_slice(function);
        if let Some(parent) = goroutine.parent.filter(|_| self.rules.names_parent) {
            out.extend_from_slice(b" in goroutine ");
            push_decimal(parent.0, out);
        }
        out.extend_from_slice(place);
        Ok(())
    }

    /// What is printed of a `go` statement before its goroutine's parent, and after it.
    fn creator(&self, at: LocationId) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
        let Some(frame) = self.shown_creator(at) else { return Ok(None) };
        let mut rest = b"\n".to_vec();
        place(&frame, frame.offset, &mut rest)?;
        Ok(Some((format!("created by {}", self.name(frame.function)).into_bytes(), rest)))
    }

    fn shown_creator(&self, created_by: LocationId) -> Option<NamedFrame<'_>> {
        let frame = self.dump.frame(created_by);
        self.rules.shows(&frame, FunctionKind::Normal, false).then_some(frame)
    }
}

/// Code that is not Go's, as the runtime prints it with a symbolizer for C and without.
fn foreign(frame: &NamedFrame<'_>, out: &mut Vec<u8>) -> io::Result<()> {
    if frame.is_known() {
        writeln!(out, "{}\n\t{}:{} pc={:#x}", frame.function, frame.file, frame.line, frame.pc)
    } else {
        writeln!(out, "non-Go function at pc={:#x}", frame.pc)
    }
}

/// Where a stack is cut: an entry like that of a C function if there is an address, and Go's own line.
fn cut(frame: &NamedFrame<'_>, out: &mut Vec<u8>) -> io::Result<()> {
    if frame.pc != 0 {
        let file = if frame.file.is_empty() { "?" } else { frame.file };
        writeln!(out, "{}(...)\n\t{file}:0 pc={:#x}", frame.function.trim_matches('.'), frame.pc)?;
    }
    writeln!(out, "...additional frames elided...")
}

fn place(frame: &NamedFrame<'_>, offset: u64, out: &mut Vec<u8>) -> io::Result<()> {
    write!(out, "\t{}:{}", frame.file, frame.line)?;
    if !frame.inlined && offset > 0 {
        write!(out, " +{offset:#x}")?;
    }
    writeln!(out)
}

/// The line that stands in place of a stack that is not known.
fn missing_stack(goroutine: &DumpGoroutine) -> &'static str {
    if goroutine.is_running() {
        "\tgoroutine running on other thread; stack unavailable\n"
    } else if goroutine.moved {
        "\tgoroutine moved while it was read; stack unavailable\n"
    } else {
        "\tstack unavailable\n"
    }
}

/// How far the return address of the stack frame that ends with the frame at `index` lies after its function's
/// entry: that address is the one of the innermost call that was inlined into it.
fn physical_offset(frames: &[NamedFrame<'_>], index: usize) -> u64 {
    let inlined = frames[..index].iter().rev().take_while(|frame| frame.inlined).last();
    inlined.unwrap_or(&frames[index]).offset
}

/// How many frames belong to the first `count` stack frames, the others being inlined into those.
fn physical_prefix(frames: &[NamedFrame<'_>], count: usize) -> usize {
    let physical = frames.iter().enumerate().filter(|(_, frame)| !frame.inlined);
    physical.map(|(index, _)| index + 1).nth(count.saturating_sub(1)).unwrap_or(frames.len())
}

fn quote_if_needed(text: &str) -> String {
    if needs_quotes(text) { runtime_quote(text) } else { text.to_owned() }
}

fn join(labels: &[(&str, &str)], quote: fn(&str) -> String) -> String {
    let pairs: Vec<_> =
        labels.iter().map(|(key, value)| format!("{}: {}", quote(key), quote(value))).collect();
    pairs.join(", ")
}
