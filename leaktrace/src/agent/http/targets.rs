//! The processes as targets of scrapers: the list that Prometheus, Parca and Alloy fetch (`http_sd`).

use std::collections::BTreeMap;

use leaktrace_core::base::escape;
use leaktrace_core::schema::{Node, NodeProcess, NodeState};
use serde::Serialize;

/// One process.
#[derive(Debug, Serialize)]
pub(super) struct Target<'a> {
    targets: [&'a str; 1],
    labels: BTreeMap<&'static str, String>,
}

/// All processes of which something can be fetched, `at` this scheme and address; nothing, if nobody knows that.
pub(super) fn targets<'a>(
    node: &Node,
    at: Option<(&str, &'a str)>,
    machine: Option<&str>,
) -> Vec<Target<'a>> {
    let Some((scheme, address)) = at else { return Vec::new() };
    let processes = node.processes.iter().filter(|process| process.state != NodeState::Refused);
    processes.map(|process| Target { targets: [address], labels: labels(process, scheme, machine) }).collect()
}

fn labels(process: &NodeProcess, scheme: &str, machine: Option<&str>) -> BTreeMap<&'static str, String> {
    let id = process.id.to_string();
    let prefix = format!("/processes/{id}");
    let instance = process.instance(machine);
    let pod = process.kubernetes.as_ref();
    let labels = [
        ("__scheme__", Some(scheme)),
        ("__metrics_path__", Some(&*format!("{prefix}/metrics"))),
        ("__profile_path_prefix__", Some(&*prefix)),
        ("__param_process", Some(&*id)),
        ("instance", Some(&*instance)),
        ("service_name", Some(&*process.service_name())),
        ("namespace", pod.map(|pod| &*pod.namespace)),
        ("pod", pod.map(|pod| &*pod.pod)),
        ("container", pod.map(|pod| &*pod.container)),
        ("workload", pod.map(|pod| &*pod.workload)),
        ("node", machine),
        ("__meta_leaktrace_prefix", Some(&*prefix)),
        ("__meta_leaktrace_pid", Some(&*process.id.pid.to_string())),
        ("__meta_leaktrace_exe", Some(&*process.exe)),
        ("__meta_leaktrace_go_version", process.go_version.as_deref()),
        ("__meta_leaktrace_version", process.version.as_deref()),
        ("__meta_leaktrace_unit", process.unit.as_deref()),
        ("__meta_leaktrace_container_id", process.container_id.as_deref()),
    ];
    labels.into_iter().filter_map(|(name, value)| Some((name, escape::line(value?).into_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::http::tests::made_up;

    #[test]
    fn a_process_in_a_pod_is_called_as_that_is() {
        let pod = leaktrace_core::schema::PodPlace {
            pod: "order-5bd-x".to_owned(),
            workload: "order".to_owned(),
            ..made_up::pod("shop")
        };
        let container_id = Some("0".repeat(64));
        let process = NodeProcess { kubernetes: Some(pod), container_id, ..made_up::process(4711) };
        let labels = labels(&process, "https", Some("n1"));
        for (name, value) in [
            ("__scheme__", "https"),
            ("instance", "n1/shop/order-5bd-x/order:4711"),
            ("service_name", "shop/order"),
            ("namespace", "shop"),
            ("pod", "order-5bd-x"),
            ("container", "shop"),
            ("workload", "order"),
        ] {
            assert_eq!(labels[name], value, "{name}");
        }
    }
}
