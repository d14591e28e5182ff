//! Labels: foreign words that are harmless and not too long.

use crate::base::escape;
use crate::base::path::base_name;
use crate::schema::{Location, NodeProcess, PodPlace};

/// The longest value of a label, in bytes.
const MAX_LEN: usize = 200;
/// What stands for the `go` statements that are not told apart, and for those without a name. Go has no such names.
const OTHER: &str = "~other";
const UNKNOWN: &str = "~unknown";

/// A name as a label has it. What is cut ends with a hash of the whole, so that two names rarely become one.
pub(in crate::node) fn label(name: &str) -> String {
    let name = escape::line(name);
    if name.len() <= MAX_LEN {
        return name.into_owned();
    }
    let end = format!("~{:08x}", hash(&name));
    format!("{}{end}", &name[..name.floor_char_boundary(MAX_LEN - end.len())])
}

/// FNV-1a: the same everywhere and always, as labels have to be. Who makes two names meet has one series of them.
fn hash(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// What tells processes apart. Where something is not known it is empty, as a label that is missing is for Prometheus.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GroupLabels {
    exe: String,
    container_id: String,
    unit: String,
    /// Where Kubernetes has it: namespace, pod, container and workload.
    kubernetes: [String; 4],
}

impl GroupLabels {
    pub(super) fn of(process: &NodeProcess) -> Self {
        let label_of = |name: &Option<String>| name.as_deref().map(label).unwrap_or_default();
        let (container_id, unit) = (label_of(&process.container_id), label_of(&process.unit));
        let place = |PodPlace { namespace, pod, container, workload, workload_kind: _ }: &PodPlace| {
            [namespace, pod, container, workload].map(|name| label(name))
        };
        let kubernetes = process.kubernetes.as_ref().map(place).unwrap_or_default();
        Self { exe: label(&process.exe), container_id, unit, kubernetes }
    }

    /// Who can make any number of groups: a container or a unit.
    pub(super) fn origin(&self) -> Option<(&str, &str)> {
        let origin = (self.container_id.as_str(), self.unit.as_str());
        (origin != ("", "")).then_some(origin)
    }

    pub(super) fn pairs(&self) -> Vec<(&'static str, String)> {
        let Self { exe, container_id, unit, kubernetes: [namespace, pod, container, workload] } =
            self.clone();
        let pairs = vec![("exe", exe), ("container_id", container_id), ("unit", unit)];
        if pod.is_empty() {
            return pairs;
        }
        let kubernetes =
            [("namespace", namespace), ("pod", pod), ("container", container), ("workload", workload)];
        pairs.into_iter().chain(kubernetes).collect()
    }
}

/// What tells `go` statements apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SiteLabels {
    function: String,
    file: String,
    line: String,
}

impl SiteLabels {
    pub(super) fn of(place: &Location) -> Self {
        let Some(function) = &place.function else { return Self::named(UNKNOWN) };
        let file = place.file.as_deref().map(|file| label(base_name(file))).unwrap_or_default();
        let line = place.line.map(|line| line.to_string()).unwrap_or_default();
        Self { function: label(function), file, line }
    }

    /// All that are not told apart.
    pub(super) fn other() -> Self {
        Self::named(OTHER)
    }

    fn named(function: &str) -> Self {
        Self { function: function.to_owned(), file: String::new(), line: String::new() }
    }

    pub(super) fn pairs(&self) -> Vec<(&'static str, String)> {
        let Self { function, file, line } = self.clone();
        vec![("function", function), ("file", file), ("line", line)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_harmless_and_short() {
        assert_eq!(label("main.(*Größe).run.func1"), "main.(*Größe).run.func1");
        assert_eq!(label("a\nb\u{1b}[2J"), r"a\nb\x1b[2J");
        assert_eq!(label(&"é".repeat(100)), "é".repeat(100));
        let (one, other) = (label(&"é".repeat(101)), label(&"é".repeat(102)));
        assert!(one.len() <= MAX_LEN && one.starts_with(&"é".repeat(95)), "{one}");
        assert_ne!(one, other);
        assert_eq!(label(&"\n".repeat(150)).len(), MAX_LEN);
    }
}
