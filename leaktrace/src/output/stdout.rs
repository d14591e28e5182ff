//! Standard output whose errors say that it is that, for what is not a report.

use std::io::{self, StdoutLock, Write};

use super::{OutputError, Standard, stdout};

/// Standard output.
#[derive(Debug)]
pub struct Stdout<W = Standard<StdoutLock<'static>>>(W);

impl Stdout {
    /// For nobody else meanwhile.
    pub fn lock() -> Self {
        Self(stdout())
    }
}

impl<W: Write> Write for Stdout<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(named)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(named)
    }
}

/// What is no error, or is tried again, stays as it is.
fn named(source: io::Error) -> io::Error {
    let kind = source.kind();
    if matches!(kind, io::ErrorKind::Interrupted | io::ErrorKind::BrokenPipe) {
        return source;
    }
    io::Error::new(kind, OutputError::Write { to: "standard output".to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_is_told_with_the_stream() {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let error = writeln!(Stdout(full), "a rule").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        let words = format!("{:#}", anyhow::Error::from(error));
        assert!(words.starts_with("cannot write to standard output: No space left on device"), "{words}");
    }
}
