//! Pods as an API server and a kubelet write them. What is not needed is not kept.

use serde::Deserialize;

use super::Pod;

/// A `v1.PodList`.
#[derive(Deserialize)]
struct PodList {
    // Go writes no items as null.
    items: Option<Vec<PodObject>>,
}

#[derive(Deserialize)]
struct PodObject {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    name: String,
    namespace: String,
    labels: Option<Labels>,
    owner_references: Option<Vec<Owner>>,
}

#[derive(Default, Deserialize)]
struct Labels {
    #[serde(rename = "pod-template-hash")]
    template_hash: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Owner {
    kind: String,
    name: String,
    controller: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    #[serde(rename = "containerStatuses")]
    containers: Option<Vec<Container>>,
    #[serde(rename = "initContainerStatuses")]
    init: Option<Vec<Container>>,
    #[serde(rename = "ephemeralContainerStatuses")]
    ephemeral: Option<Vec<Container>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Container {
    name: String,
    #[serde(rename = "containerID")]
    id: Option<String>,
}

pub(super) fn pods(text: &[u8]) -> Result<Vec<Pod>, serde_json::Error> {
    let list: PodList = serde_json::from_slice(text)?;
    Ok(list.items.unwrap_or_default().into_iter().map(pod).collect())
}

fn pod(PodObject { metadata, status }: PodObject) -> Pod {
    let owners = metadata.owner_references.into_iter().flatten();
    let controller = owners.into_iter().find(|owner| owner.controller == Some(true));
    let all = [status.containers, status.init, status.ephemeral];
    let containers = all.into_iter().flatten().flatten();
    Pod {
        namespace: metadata.namespace,
        name: metadata.name,
        controller: controller.map(|owner| (owner.kind, owner.name)),
        template_hash: metadata.labels.and_then(|labels| labels.template_hash),
        containers: containers.filter_map(|one| Some((one.name, one.id?))).collect(),
    }
}
