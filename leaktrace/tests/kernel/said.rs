//! Listens to the log.

use std::sync::Mutex;

/// What the programs have said.
pub(crate) static SAID: Said = Said(Mutex::new(Vec::new()));

pub(crate) struct Said(Mutex<Vec<String>>);

impl Said {
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("nobody panics with it"))
    }
}

impl log::Log for Said {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.target().starts_with("leaktrace_ebpf") {
            self.0.lock().expect("nobody panics with it").push(format!(
                "{} {}",
                record.level(),
                record.args()
            ));
        }
    }

    fn flush(&self) {}
}
