//! Which containers of a node are whose, as Kubernetes says.
//!
//! Pods come as JSON, from a kubelet or an API server, or as messages of the kubelet's Pods API. Their containers are told apart
//! by id alone: it is what the control group of a process shows, and the uid of a static pod is another one there.

mod json;
mod proto;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

use super::cgroup::is_container_id;
use crate::schema::PodPlace;

/// How many containers of a node there are at most. A kubelet runs 110 pods unless it is told otherwise.
pub const MAX_CONTAINERS: usize = 16_384;
/// The longest name that Kubernetes gives anything here (RFC 1123), in bytes.
const MAX_NAME: usize = 253;

/// What is no list of pods.
#[derive(Debug, Error)]
pub enum PodsError {
    /// It is no JSON, or other JSON.
    #[error("the list of pods is not what Kubernetes writes as JSON")]
    Json(#[source] serde_json::Error),
    /// It is not one whole message.
    #[error("the answer of the kubelet's Pods API is not one whole message without compression")]
    Frame,
    /// It is no such message.
    #[error("the list of pods is not what the kubelet's Pods API sends")]
    Message(#[source] prost::DecodeError),
}

/// The containers of a node, by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pods {
    by_container: BTreeMap<String, Arc<PodPlace>>,
}

impl Pods {
    /// What a `PodList` in JSON has.
    pub fn of_json(text: &[u8]) -> Result<Self, PodsError> {
        json::pods(text).map(|pods| Self::collect(&pods)).map_err(PodsError::Json)
    }

    /// What the kubelet's Pods API answers to `ListPods`: one message, framed as gRPC does it.
    pub fn of_grpc(body: &[u8]) -> Result<Self, PodsError> {
        let (head, message) = body.split_first_chunk::<5>().ok_or(PodsError::Frame)?;
        let [is_compressed, length @ ..] = *head;
        let is_whole = usize::try_from(u32::from_be_bytes(length)) == Ok(message.len());
        if is_compressed != 0 || !is_whole {
            return Err(PodsError::Frame);
        }
        Self::of_message(message)
    }

    fn of_message(bytes: &[u8]) -> Result<Self, PodsError> {
        proto::pods(bytes).map(|pods| Self::collect(&pods)).map_err(PodsError::Message)
    }

    /// Where the container with this id is.
    pub fn get(&self, container_id: &str) -> Option<&Arc<PodPlace>> {
        self.by_container.get(container_id)
    }

    /// How many containers there are.
    pub fn len(&self) -> usize {
        self.by_container.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_container.is_empty()
    }

    fn collect(pods: &[Pod]) -> Self {
        let containers = pods.iter().flat_map(Pod::places).take(MAX_CONTAINERS);
        Self { by_container: containers.map(|(id, place)| (id.to_owned(), Arc::new(place))).collect() }
    }
}

/// What is needed of a pod, whoever told of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Pod {
    namespace: String,
    name: String,
    /// The kind and the name of what controls it.
    controller: Option<(String, String)>,
    /// What a Deployment adds to the name of its `ReplicaSet`: the label `pod-template-hash`.
    template_hash: Option<String>,
    /// Names of containers, and their ids with the runtime before it.
    containers: Vec<(String, String)>,
}

impl Pod {
    /// Where each of its containers is, by its id. Those that have not been started have none.
    fn places(&self) -> impl Iterator<Item = (&str, PodPlace)> {
        let (workload, workload_kind) = self.workload();
        let is_named = is_name(&self.namespace) && is_name(&self.name) && is_name(workload);
        self.containers.iter().filter_map(move |(container, id)| {
            let id = id.rsplit_once("://").map_or(id.as_str(), |(_, id)| id);
            let place = PodPlace {
                namespace: self.namespace.clone(),
                pod: self.name.clone(),
                container: container.clone(),
                workload: workload.to_owned(),
                workload_kind: workload_kind.to_owned(),
            };
            (is_named && is_name(container) && is_container_id(id)).then_some((id, place))
        })
    }

    /// What its replicas have in common, and what kind of thing that is. Nobody is asked: a `ReplicaSet` that a Deployment has
    /// made has the hash at the end of its name, and a Job that a `CronJob` has made the time.
    fn workload(&self) -> (&str, &str) {
        let Some((kind, name)) = &self.controller else { return (&self.name, "Pod") };
        match kind.as_str() {
            "ReplicaSet" => {
                let hash = self.template_hash.as_deref().filter(|hash| !hash.is_empty());
                let begin = hash.and_then(|hash| name.strip_suffix(hash)?.strip_suffix('-'));
                begin
                    .filter(|begin| !begin.is_empty())
                    .map_or((name, "ReplicaSet"), |begin| (begin, "Deployment"))
            }
            "Job" => {
                let time = name.rsplit_once('-').filter(|(begin, time)| {
                    !begin.is_empty() && time.len() >= 8 && time.bytes().all(|byte| byte.is_ascii_digit())
                });
                time.map_or((name, "Job"), |(begin, _)| (begin, "CronJob"))
            }
            // A static pod is its own.
            "Node" => (&self.name, "Pod"),
            _ => (name, kind),
        }
    }
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
}
