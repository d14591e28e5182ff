//! Where a process belongs, by its control groups.

/// How long an id of a container is, in hexadecimal.
const ID_LEN: usize = 64;
/// What runtimes put before it.
const RUNTIMES: [&str; 5] = ["cri-containerd", "crio", "docker", "libpod", "nerdctl"];

/// Where a process belongs.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The id of its container: the innermost, where one is in another.
    pub container_id: Option<String>,
    /// Its systemd service: the innermost, and of a container only one that is in it.
    pub unit: Option<String>,
}

impl Place {
    /// What `/proc/PID/cgroup` says. Paths may be relative to a control group namespace.
    pub fn of(text: &str) -> Self {
        let mut paths: Vec<_> = text.lines().filter_map(path).collect();
        // All hierarchies say the same as a rule. Where they do not, it is these two that systemd and runtimes keep.
        paths.sort_by_key(|(hierarchy, _)| *hierarchy);
        let mut places = paths.into_iter().map(|(_, path)| Self::of_path(path));
        let Some(mut place) = places.next() else { return Self::default() };
        for other in places {
            if place.container_id.is_none() && other.container_id.is_some() {
                place = other;
            } else if place.container_id.is_none() && place.unit.is_none() {
                place.unit = other.unit;
            }
        }
        place
    }

    fn of_path(path: &str) -> Self {
        let (mut place, mut before) = (Self::default(), "");
        for part in path.split('/') {
            if let Some(id) = container(part).filter(|_| before != "buildkit") {
                place = Self { container_id: Some(id.to_owned()), unit: None };
            } else if part.len() > ".service".len() && part.ends_with(".service") {
                place.unit = Some(part.to_owned());
            }
            before = part;
        }
        place
    }
}

/// Which hierarchy a line is of, the one that is believed most being the first, and the path in it.
fn path(line: &str) -> Option<(u8, &str)> {
    let mut fields = line.splitn(3, ':');
    let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    let hierarchy = match (number, controllers) {
        ("0", "") => 0,
        (_, "name=systemd") => 1,
        _ => 2,
    };
    Some((hierarchy, path.strip_suffix(" (deleted)").unwrap_or(path)))
}

/// Whether this is an id of a container.
pub(super) fn is_container_id(id: &str) -> bool {
    id.len() == ID_LEN && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The id of the container whose control group is called so.
fn container(name: &str) -> Option<&str> {
    let name = name.strip_suffix(".scope").unwrap_or(name);
    if is_container_id(name) {
        return Some(name);
    }
    // `crio-ID`, and where the driver and the runtime mean different things, `PARENT.slice:crio:ID`.
    let (runtime, id) = name.rsplit_once([':', '-']).filter(|(_, id)| is_container_id(id))?;
    let runtime = runtime.rsplit_once(':').map_or(runtime, |(_, runtime)| runtime);
    RUNTIMES.contains(&runtime).then_some(id)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const B: &str = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";
    const UID: &str = "8dbc5577-d0e2-4706-8787-57d52c03ddf2";

    /// `A` and `B` are the ids, `UID` is a pod's, `UID_` is one as systemd has it.
    fn place(text: &str) -> (Option<String>, Option<String>) {
        let text = text.replace("UID_", &UID.replace('-', "_")).replace("UID", UID);
        let place = Place::of(&text.replace("<A>", A).replace("<B>", B));
        let short = |id: String| if id == A { "A".to_owned() } else { id.replace(B, "B") };
        (place.container_id.map(short), place.unit)
    }

    #[test]
    fn containers_are_found_whoever_runs_them() {
        for path in [
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID_.slice/cri-containerd-<A>.scope",
            "/kubepods.slice/kubepods-podUID_.slice/cri-containerd-<A>.scope",
            "/kubepods/burstable/podUID/<A>",
            "/kubepods/podUID/<A>",
            "/system.slice/containerd.service/kubepods-burstable-podUID_.slice:cri-containerd:<A>",
            "/system.slice/kubepods-burstable-podUID_.slice:cri-containerd:<A>",
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID_.slice/crio-<A>.scope",
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID_.slice/crio-<A>.scope/container",
            "/kubepods/podUID/crio-<A>",
            "/kubepods.slice/kubepods-podUID_.slice/docker-<A>.scope",
            "/system.slice/docker-<A>.scope",
            "/docker/<A>",
            "/machine.slice/libpod-<A>.scope/container",
            // In a node of kind, from within and from without.
            "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-podUID_.slice/cri-containerd-<A>.scope",
            "/docker/<B>/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podUID_.slice/cri-containerd-<A>.scope",
            "/system.slice/docker-<B>.scope/kubelet.slice/kubelet-kubepods-podUID_.slice/cri-containerd-<A>.scope",
            // A static pod.
            "/kubepods/burstable/pod0123456789abcdef0123456789abcdef/<A>",
            // Docker in a pod.
            "/kubepods.slice/kubepods-podUID_.slice/cri-containerd-<B>.scope/docker/<A>",
            // From within a namespace of control groups.
            "/../../kubepods-burstable-podUID_.slice/cri-containerd-<A>.scope",
            "/../cri-containerd-<A>.scope",
            "/docker/<A> (deleted)",
        ] {
            let found = (Some("A".to_owned()), None);
            assert_eq!(place(&format!("0::{path}\n")), found, "{path}");
            assert_eq!(place(&format!("12:cpu,cpuacct:{path}\n1:name=systemd:{path}\n")), found, "{path}");
            assert_eq!(place(&format!("12:memory:{path}\n0::/\n")), found, "{path}");
            assert_eq!(place(&format!("4:pids:{path}\n0::/system.slice/docker.service\n")), found, "{path}");
        }
    }

    #[test]
    fn what_is_no_container_is_none() {
        for (path, unit) in [
            ("/", None),
            ("", None),
            ("/../../../..", None),
            ("/k3s", None),
            ("/docker/buildkit/k3x9v1w2q8", None),
            ("/docker/buildkit/<A>", None),
            ("/kubepods.slice/kubepods-podUID_.slice/crio-conmon-<A>.scope", None),
            ("/machine.slice/libpod-conmon-<A>.scope", None),
            ("/kubepods.slice/kubepods-podUID_.slice:crio-conmon:<A>", None),
            ("/docker/0123456789abcdef", None),
            ("/user.slice/user-1000.slice/session-3.scope", None),
            ("/system.slice/order.service", Some("order.service")),
            ("/system.slice/order.service/workers", Some("order.service")),
            ("/system.slice/system-order.slice/order@2.service", Some("order@2.service")),
            ("/user.slice/user-1000.slice/user@1000.service/app.slice/order.service", Some("order.service")),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/app-x-4711.scope",
                Some("user@1000.service"),
            ),
            ("/system.slice/.service", None),
        ] {
            assert_eq!(place(&format!("0::{path}\n")), (None, unit.map(str::to_owned)), "{path}");
        }
        assert_eq!(place(""), (None, None));
        assert_eq!(place("0::/\n1:name=systemd:/system.slice/order.service\n").1.unwrap(), "order.service");
    }

    #[test]
    fn a_unit_in_a_container_is_its_own() {
        let path = "0::/docker/<A>/system.slice/kubelet.service";
        assert_eq!(place(path), (Some("A".to_owned()), Some("kubelet.service".to_owned())));
        assert_eq!(place("0::/system.slice/outer.service/docker/<A>"), (Some("A".to_owned()), None));
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "([0-9a-z:/.\\-]|\\PC|\n){0,200}") {
            let place = Place::of(&text);
            prop_assert!(place.unit.is_none_or(|unit| !unit.contains('/')));
        }
    }
}
