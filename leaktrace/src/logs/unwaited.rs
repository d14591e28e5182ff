//! Writes lines to a stream without waiting for whoever reads it.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use leaktrace_core::base::human;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How long a reader may be slow before lines are left out.
const PATIENCE: Duration = Duration::from_millis(50);

/// The longest line, in bytes: a pipe that has any room has it for so many (`PIPE_BUF`).
const LONGEST: usize = 4096;

/// What a longer line ends in.
const CUT: &str = "…\n";

/// A stream of which lines that find no room are left out, and counted.
#[derive(Debug)]
pub(super) struct Unwaited<S> {
    stream: S,
    left_out: u64,
}

impl<S: Write + AsFd> Unwaited<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self { stream, left_out: 0 }
    }

    /// Whether a line can be written at once, or soon if all could be until now.
    fn has_room(&self) -> bool {
        let patience = if self.left_out == 0 { PATIENCE } else { Duration::ZERO };
        let timeout = Timespec::try_from(patience).unwrap_or_default();
        let mut polled = [PollFd::new(&self.stream, PollFlags::OUT)];
        // What cannot be asked never makes anybody wait.
        poll(&mut polled, Some(&timeout)) != Ok(0)
    }
}

impl<S: Write + AsFd> Write for Unwaited<S> {
    /// Takes whole lines.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.left_out > 0 && self.has_room() {
            let lines = human::some(self.left_out, "line");
            let told = format!("{lines} of the log left out, since nobody read them\n");
            self.stream.write_all(told.as_bytes())?;
            self.left_out = 0;
        }
        if self.left_out > 0 || !self.has_room() {
            self.left_out += 1;
        } else if line.len() > LONGEST {
            let whole = line.utf8_chunks().next().map_or("", |chunk| chunk.valid());
            let cut = &whole[..whole.floor_char_boundary(LONGEST - CUT.len())];
            self.stream.write_all(format!("{cut}{CUT}").as_bytes())?;
        } else {
            self.stream.write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;
    use std::time::Instant;

    use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

    use super::*;

    #[test]
    fn whoever_does_not_read_holds_nobody_up_and_is_told_what_was_left_out() {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        // Room for two pieces.
        fcntl_setpipe_size(&writer, 8192).unwrap();
        let mut log = Unwaited::new(File::from(writer));
        log.write_all(b"first\n").unwrap();
        log.write_all("é".repeat(4000).as_bytes()).unwrap();
        let begin = Instant::now();
        (0..1000).for_each(|_| log.write_all(b"left out\n").unwrap());
        assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
        let (mut read, mut reader) = (vec![0; 8192], File::from(reader));
        let count = reader.read(&mut read).unwrap();
        let expected = format!("first\n{}…\n", "é".repeat(2046));
        assert_eq!(str::from_utf8(&read[..count]).unwrap(), expected);
        log.write_all(b"last\n").unwrap();
        drop(log);
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "1,000 lines of the log left out, since nobody read them\nlast\n");
    }
}
