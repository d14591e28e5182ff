//! The messages of the kubelet's Pods API (KEP-4188), as far as they are needed, written out so that building needs no
//! protobuf compiler.
//!
//! Field numbers are those of <https://github.com/kubernetes/kubernetes/tree/master/staging/src/k8s.io>:
//! `kubelet/pkg/apis/pods/v1alpha1/api.proto`, `api/core/v1/generated.proto` and
//! `apimachinery/pkg/apis/meta/v1/generated.proto`.

use std::collections::BTreeMap;

use prost::Message;

use super::Pod;

/// The label that has the hash of a pod's template.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// The answer to `ListPods`. Each pod is bytes there, which is the same as a message.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ListPodsResponse {
    #[prost(message, repeated, tag = "1")]
    pub(super) pods: Vec<PodMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PodMessage {
    #[prost(message, optional, tag = "1")]
    pub(super) metadata: Option<ObjectMeta>,
    #[prost(message, optional, tag = "3")]
    pub(super) status: Option<PodStatus>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ObjectMeta {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "3")]
    pub(super) namespace: String,
    #[prost(btree_map = "string, string", tag = "11")]
    pub(super) labels: BTreeMap<String, String>,
    #[prost(message, repeated, tag = "13")]
    pub(super) owner_references: Vec<OwnerReference>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct OwnerReference {
    #[prost(string, tag = "1")]
    pub(super) kind: String,
    #[prost(string, tag = "3")]
    pub(super) name: String,
    #[prost(bool, tag = "6")]
    pub(super) controller: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PodStatus {
    #[prost(message, repeated, tag = "8")]
    pub(super) containers: Vec<ContainerStatus>,
    #[prost(message, repeated, tag = "10")]
    pub(super) init: Vec<ContainerStatus>,
    #[prost(message, repeated, tag = "13")]
    pub(super) ephemeral: Vec<ContainerStatus>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ContainerStatus {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "8")]
    pub(super) container_id: String,
}

pub(super) fn pods(bytes: &[u8]) -> Result<Vec<Pod>, prost::DecodeError> {
    Ok(ListPodsResponse::decode(bytes)?.pods.into_iter().map(pod).collect())
}

fn pod(PodMessage { metadata, status }: PodMessage) -> Pod {
    let (mut metadata, status) = (metadata.unwrap_or_default(), status.unwrap_or_default());
    let controller = metadata.owner_references.into_iter().find(|owner| owner.controller);
    let all = [status.containers, status.init, status.ephemeral];
    Pod {
        namespace: metadata.namespace,
        name: metadata.name,
        controller: controller.map(|owner| (owner.kind, owner.name)),
        template_hash: metadata.labels.remove(TEMPLATE_HASH),
        containers: all.into_iter().flatten().map(|one| (one.name, one.container_id)).collect(),
    }
}
