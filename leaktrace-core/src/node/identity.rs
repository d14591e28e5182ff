//! What a process is called where those of many machines come together.

use std::borrow::Cow;

use crate::schema::NodeProcess;

/// How many digits of a container's id tell it from others, as container runtimes show it.
const SHORT_ID: usize = 12;

impl NodeProcess {
    /// What it is an instance of: the workload of its pod with the namespace, else its systemd service, else its executable.
    pub fn service_name(&self) -> Cow<'_, str> {
        match &self.kubernetes {
            Some(place) => Cow::Owned(format!("{}/{}", place.namespace, place.workload)),
            None => Cow::Borrowed(self.service().unwrap_or(&self.exe)),
        }
    }

    /// Which instance of that it is on all of these machines: `node-1/3f2a91b0c4d7/order:4711`, or `node-1/shop/order-0/order:4711`
    /// where the pod is known.
    pub fn instance(&self, machine: Option<&str>) -> String {
        let container = self.container_id.as_deref().map(|id| id.get(..SHORT_ID).unwrap_or(id));
        let pod = self.kubernetes.as_ref().map(|place| format!("{}/{}", place.namespace, place.pod));
        let own = format!("{}:{}", self.exe, self.id.pid);
        // Without the first two all processes of a machine would be one.
        let parts: Vec<&str> = [machine, pod.as_deref().or(container).or(self.service()), Some(&own)]
            .into_iter()
            .flatten()
            .collect();
        parts.join("/")
    }

    fn service(&self) -> Option<&str> {
        self.unit.as_deref().map(|unit| unit.strip_suffix(".service").unwrap_or(unit))
    }
}
