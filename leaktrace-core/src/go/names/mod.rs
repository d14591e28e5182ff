//! What the runtime's numbers are called: goroutine states and the reasons for waiting.

mod read;

pub use crate::go::facts::status::Status;

/// The names of the target's wait reasons, read from its own table: Go 1.24, 1.25 and 1.26 renumbered them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WaitReasons {
    names: Vec<Box<str>>,
}

impl WaitReasons {
    /// The table with these names, the first being that of reason 0.
    pub fn new(names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        Self { names: names.into_iter().map(Into::into).collect() }
    }

    /// The name of reason `number`; reason 0 is the empty string. `None` if the target has no such reason.
    pub fn name(&self, number: u8) -> Option<&str> {
        self.names.get(usize::from(number)).map(AsRef::as_ref)
    }

    /// The number of the reason with this name.
    pub fn number(&self, name: &str) -> Option<u8> {
        self.names.iter().position(|known| &**known == name).and_then(|index| u8::try_from(index).ok())
    }

    /// How many reasons the target knows.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether the table could not be found.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The names in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_go_by_number_and_by_name() {
        let reasons = WaitReasons::new(["", "GC assist marking", "IO wait"]);
        assert_eq!(reasons.name(2), Some("IO wait"));
        assert_eq!(reasons.name(3), None);
        assert_eq!(reasons.number("IO wait"), Some(2));
    }
}
