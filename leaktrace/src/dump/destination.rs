//! Where a dump goes. It is opened before anything is read, and changed only when there is something to write.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use crate::output::{Content, OutputError, Standard, create, rewrite};

/// Standard output, or a file.
#[derive(Debug)]
pub struct Destination {
    file: Option<(File, PathBuf)>,
}

impl Destination {
    /// Opens the file for what it is to hold, or standard output if none is named.
    pub fn open(path: Option<&Path>, content: Content) -> Result<Self, OutputError> {
        let file = path.map(|path| Ok((create(path, content)?, path.to_owned()))).transpose()?;
        Ok(Self { file })
    }

    /// Writes what `render` writes, replacing what is in the file.
    pub fn write(self, render: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
        let (written, to) = if let Some((file, path)) = self.file {
            (replace(&file, render), path.display().to_string())
        } else {
            // What looks for lines in what it is given would take as long as what makes it.
            let stdout = io::stdout().as_fd().try_clone_to_owned();
            (
                stdout.and_then(|fd| buffered(Standard::new(File::from(fd)), render)),
                "standard output".to_owned(),
            )
        };
        written.map_err(|source| OutputError::Write { to, source }.into())
    }
}

/// What is no regular file, such as a pipe, is appended to. What is in a file stays there unless all can be written.
fn replace(file: &File, render: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.len() > 0 {
        let mut bytes = Vec::new();
        return render(&mut bytes).and_then(|()| rewrite(file, &bytes));
    }
    let written = buffered(file, render);
    if written.is_err() && metadata.is_file() {
        file.set_len(0)?;
    }
    written
}

fn buffered(out: impl Write, render: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, out);
    render(&mut out)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_only_when_there_is_something_to_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dump.txt");
        std::fs::write(&path, "what was there before").unwrap();
        drop(Destination::open(Some(&path), Content::Names).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"what was there before");
        Destination::open(Some(&path), Content::Names).unwrap().write(|out| out.write_all(b"new")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn what_cannot_be_written_whole_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dump.txt");
        for before in ["", "what was there before"] {
            std::fs::write(&path, before).unwrap();
            let destination = Destination::open(Some(&path), Content::Names).unwrap();
            let failing = |out: &mut dyn Write| {
                out.write_all(&vec![b'x'; 1 << 17])?;
                Err(io::ErrorKind::StorageFull.into())
            };
            destination.write(failing).unwrap_err();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), before);
        }
    }

    #[test]
    fn what_is_no_regular_file_is_written_to() {
        let null = Destination::open(Some(Path::new("/dev/null")), Content::Values).unwrap();
        null.write(|out| out.write_all(b"x")).unwrap();
        let full = Destination::open(Some(Path::new("/dev/full")), Content::Values).unwrap();
        let error = full.write(|out| out.write_all(b"x")).unwrap_err();
        assert_eq!(error.to_string(), "cannot write to /dev/full");
    }
}
