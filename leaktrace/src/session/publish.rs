//! What a session makes known. Who writes, sends or shows it knows nothing of the session.

use std::sync::Arc;

use leaktrace_core::schema::{ProcessState, Report};

use super::writer;
use crate::config::Config;
use crate::process::Pid;

/// Makes a consumer ready before anything is traced, for one process or for many; `None` if nobody asked for it.
type Open = fn(&Config, bool) -> anyhow::Result<Option<Box<dyn Consumer>>>;

/// Every consumer of live reports, a row each, in the order in which they are told.
const CONSUMERS: &[Open] = &[writer::open];

/// A process that is watched, or was to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number in this session. No other process ever has the same.
    pub number: u32,
    /// Its id.
    pub pid: Pid,
    /// The path of its executable, as far as that is known.
    pub exe: Option<String>,
}

/// Something to be made known.
#[derive(Debug)]
pub enum Publication<'a> {
    /// A report. It never changes.
    Report {
        /// The process that it is on.
        process: Process,
        /// What it says.
        report: &'a Arc<Report>,
        /// Whether it is the last one on that process.
        is_last: bool,
    },
    /// A process is watched no longer, or never was.
    Ended {
        /// The process.
        process: Process,
        /// How that came about.
        state: ProcessState,
        /// The same in words, where there is more to say.
        reason: Option<String>,
    },
    /// All reports that there are now belong together.
    Round {
        /// Whether no other will come.
        is_last: bool,
    },
}

/// Whoever wants to know.
pub trait Consumer {
    /// Takes notice of it, and waits for nothing: probes are governed by whoever calls this.
    fn take(&mut self, publication: &Publication<'_>) -> anyhow::Result<()>;

    /// Waits until all that it took is where it belongs. Nothing is traced any more.
    fn finish(&mut self) -> anyhow::Result<()>;
}

/// All that were asked for.
pub(super) struct Consumers(Vec<Box<dyn Consumer>>);

impl Consumers {
    /// Makes ready what the configuration asks for.
    pub(super) fn open(config: &Config, is_many: bool) -> anyhow::Result<Self> {
        let opened = CONSUMERS.iter().filter_map(|open| open(config, is_many).transpose());
        opened.collect::<anyhow::Result<_>>().map(Self)
    }
}

impl Consumer for Consumers {
    /// Tells each of them; one that fails does not keep it from the others.
    fn take(&mut self, publication: &Publication<'_>) -> anyhow::Result<()> {
        let mut told = Ok(());
        for consumer in &mut self.0 {
            told = told.and(consumer.take(publication));
        }
        told
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        let mut finished = Ok(());
        for consumer in &mut self.0 {
            finished = finished.and(consumer.finish());
        }
        finished
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    struct Counts(Rc<Cell<u32>>, bool);

    impl Consumer for Counts {
        fn take(&mut self, _: &Publication<'_>) -> anyhow::Result<()> {
            self.0.set(self.0.get() + 1);
            anyhow::ensure!(!self.1, "cannot take it");
            Ok(())
        }

        fn finish(&mut self) -> anyhow::Result<()> {
            self.take(&Publication::Round { is_last: true })
        }
    }

    #[test]
    fn every_consumer_is_told_even_after_one_that_fails() {
        let count = Rc::new(Cell::new(0));
        let consumer = |fails| Box::new(Counts(Rc::clone(&count), fails)) as Box<dyn Consumer>;
        let mut all = Consumers(vec![consumer(false), consumer(true), consumer(false)]);
        assert!(all.take(&Publication::Round { is_last: true }).is_err());
        assert_eq!(count.get(), 3);
        assert!(all.finish().is_err());
        assert_eq!(count.get(), 6);
        assert!(Consumers(vec![consumer(false)]).take(&Publication::Round { is_last: true }).is_ok());
    }
}
