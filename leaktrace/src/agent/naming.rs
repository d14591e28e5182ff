//! Names of pods, as far as they are known.

use std::sync::Arc;

use leaktrace_core::node::Pods;

use super::kubernetes::Kubernetes;
use super::reads::About;

/// What Kubernetes has told last, and who asks it, if anybody does.
#[derive(Default)]
pub(super) struct Naming {
    pods: Arc<Pods>,
    kubernetes: Option<Kubernetes>,
}

impl Naming {
    pub(super) fn new(kubernetes: Option<Kubernetes>) -> Self {
        Self { pods: Arc::default(), kubernetes }
    }

    /// These are all containers that there are now.
    pub(super) fn know(&mut self, pods: Arc<Pods>) {
        self.pods = pods;
    }

    /// Names the pod of a process, if its container is known; if not, it keeps the names that it has.
    pub(super) fn name(&self, about: &mut About) {
        let pod = about.place.container_id.as_deref().and_then(|id| self.pods.get(id));
        if let Some(pod) = pod {
            about.pod = Some(Arc::clone(pod));
        }
    }

    /// The same for one that has come, whose container may be new: then it is asked soon.
    pub(super) fn welcome(&self, about: &mut About) {
        self.name(about);
        let is_unknown = about.place.container_id.is_some() && about.pod.is_none();
        if let Some(kubernetes) = self.kubernetes.as_ref().filter(|_| is_unknown) {
            kubernetes.wake();
        }
    }
}
