//! Whose profile it is, as labels of Pyroscope and Parca.

use crate::node::families::label;
use crate::schema::NodeProcess;

/// What both call a profile of goroutines. Scraped ones have the same name.
const PROFILE: &str = "goroutine";

/// The labels of a process's profile, by their names; those that are not known are missing. `instance`, `service_name` and `node`
/// are as service discovery has them.
pub fn profile_labels(process: &NodeProcess, machine: Option<&str>) -> Vec<(&'static str, String)> {
    let instance = process.instance(machine);
    let pod = process.kubernetes.as_ref();
    let labels = [
        ("__name__", Some(PROFILE)),
        ("container", pod.map(|pod| &*pod.container)),
        ("container_id", process.container_id.as_deref()),
        ("exe", Some(&*process.exe)),
        ("go_version", process.go_version.as_deref()),
        ("instance", Some(&*instance)),
        ("namespace", pod.map(|pod| &*pod.namespace)),
        ("node", machine),
        ("pod", pod.map(|pod| &*pod.pod)),
        ("service_name", Some(&*process.service_name())),
        ("unit", process.unit.as_deref()),
        ("workload", pod.map(|pod| &*pod.workload)),
    ];
    let known = labels.into_iter().filter_map(|(name, value)| Some((name, label(value?))));
    known.filter(|(_, value)| !value.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::testing::process;
    use crate::schema::PodPlace;

    #[test]
    fn labels_say_whose_a_profile_is_and_no_more() {
        let order = process(4711);
        let labels = profile_labels(&order, Some("node-1"));
        let expected = [
            ("__name__", "goroutine"),
            ("exe", "order"),
            ("go_version", "go1.27.3"),
            ("instance", "node-1/order/order:4711"),
            ("node", "node-1"),
            ("service_name", "order"),
            ("unit", "order.service"),
        ];
        assert_eq!(labels, expected.map(|(name, value)| (name, value.to_owned())));
        // Both refuse what is not sorted, or twice.
        assert!(labels.is_sorted_by(|(one, _), (other, _)| one < other));
        let place = PodPlace {
            namespace: "shop".to_owned(),
            pod: "order-5bd-x".to_owned(),
            container: "app".to_owned(),
            workload: "order".to_owned(),
            workload_kind: "Deployment".to_owned(),
        };
        let labels = profile_labels(&NodeProcess { kubernetes: Some(place), ..order }, Some("node-1"));
        assert!(labels.is_sorted_by(|(one, _), (other, _)| one < other));
        for (name, value) in [
            ("namespace", "shop"),
            ("pod", "order-5bd-x"),
            ("container", "app"),
            ("workload", "order"),
            ("service_name", "shop/order"),
            ("instance", "node-1/shop/order-5bd-x/order:4711"),
        ] {
            assert!(labels.contains(&(name, value.to_owned())), "{name} {labels:?}");
        }
    }

    #[test]
    fn foreign_words_are_harmless_and_short() {
        let (exe, container_id) = ("a\nb".repeat(500), Some("3f2a91b0c4d7".repeat(5)));
        let hostile = NodeProcess { exe, container_id, unit: None, ..process(1) };
        for (_, value) in profile_labels(&hostile, None) {
            assert!(value.len() <= 200 && !value.contains('\n'), "{value}");
        }
    }
}
