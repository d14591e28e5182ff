//! Where diagnostics go: standard error, never standard output.

mod unwaited;

use std::fmt;
use std::io::IsTerminal as _;
use std::sync::Mutex;

use leaktrace_core::base::escape::shown;
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::{FormatFields, Writer, debug_fn};
use unwaited::Unwaited;

/// The variable that overrides `-v`, in the syntax of `tracing-subscriber`: `LEAKTRACE_LOG=leaktrace=debug`.
const VARIABLE: &str = "LEAKTRACE_LOG";

/// Starts logging, with as much as `-v` was given often.
pub fn start(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "warn,leaktrace=info",
        2 => "warn,leaktrace=debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new(level));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Mutex::new(Unwaited::new(std::io::stderr())))
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(verbose > 1)
        .without_time()
        // It would panic where nobody reads standard error.
        .log_internal_errors(false)
        .fmt_fields(fields());
    // Only a second call could fail, and then the first one's choice stands.
    _ = subscriber.try_init();
}

/// Writes what is said and what is named beside it, none of which ends the line.
fn fields() -> impl for<'w> FormatFields<'w> + Send + Sync + 'static {
    let write = |out: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug| match field.name() {
        "message" => write!(out, "{}", shown(format_args!("{value:?}"))),
        name => write!(out, "{name}={}", shown(format_args!("{value:?}"))),
    };
    debug_fn(write).delimited(" ")
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::{self, Write};
    use std::sync::Arc;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What `work` says on this thread, as whoever reads standard error gets it.
    pub(crate) fn said_by(work: impl FnOnce()) -> String {
        let kept = Kept::default();
        let to = kept.clone();
        let plain = tracing_subscriber::fmt().without_time().with_target(false).with_ansi(false);
        let subscriber = plain.fmt_fields(fields()).with_writer(Mutex::new(to)).finish();
        tracing::subscriber::with_default(subscriber, work);
        let said = kept.0.lock().unwrap().clone();
        String::from_utf8(said).unwrap()
    }

    #[test]
    fn a_name_cannot_add_lines_to_the_log() {
        let name = "a\nWARN forged\x1b[2J\u{202e}";
        let log = said_by(|| tracing::warn!(%name, text = name, count = 7, "cannot read {name}"));
        assert_eq!(
            log,
            " WARN cannot read a\\nWARN forged\\x1b[2J\\u202e name=a\\nWARN forged\\x1b[2J\\u202e \
             text=\"a\\nWARN forged\\u{1b}[2J\\u{202e}\" count=7\n"
        );
    }
}
