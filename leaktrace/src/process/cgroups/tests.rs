use super::*;
use crate::process::stat::resident;

const V1: &str = "\
30 24 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro
31 30 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
34 30 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
40 30 0:36 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";
const V2: &str = "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";
/// Of a container with a cgroup namespace of its own into which the machine's hierarchy was mounted.
const IN_CONTAINER: &str = "\
30 24 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw
50 24 0:26 /../../.. /host/cgroup ro - cgroup2 cgroup rw
";

fn folder(mounts: &str, own: &[&str], path: &str) -> Option<String> {
    let own = own.iter().map(|part| (*part).to_owned()).collect();
    let found = MemoryCgroups { own, ..parse(mounts).unwrap() };
    found.folder(path).map(|folder| folder.display().to_string())
}

#[test]
fn the_hierarchy_that_has_the_controller_is_found() {
    let found = parse(V1).unwrap();
    assert_eq!((found.version, found.mount.as_path()), (Version::One, Path::new("/sys/fs/cgroup/memory")));
    let found = parse(V2).unwrap();
    assert_eq!((found.version, found.mount.as_path()), (Version::Two, Path::new("/sys/fs/cgroup")));
    assert_eq!(parse(IN_CONTAINER).unwrap().mount, Path::new("/host/cgroup"), "it shows more");
    assert!(parse("22 1 254:0 / / rw shared:1 - ext4 /dev/vda rw\n").is_none());
}

#[test]
fn paths_lead_to_folders_also_out_of_our_own_cgroup() {
    assert_eq!(folder(V2, &[], "/system.slice/a.service").unwrap(), "/sys/fs/cgroup/system.slice/a.service");
    let of_docker = V2.replace("/ /sys", "/docker/abc /sys");
    assert_eq!(folder(&of_docker, &[], "/docker/abc/x").unwrap(), "/sys/fs/cgroup/x");
    assert_eq!(folder(&of_docker, &[], "/elsewhere"), None);
    let own = ["kubepods.slice", "pod1", "agent"];
    let at = |path| folder(IN_CONTAINER, &own, path);
    assert_eq!(at("/../../pod2/app").unwrap(), "/host/cgroup/kubepods.slice/pod2/app");
    assert_eq!(at("/../../../system.slice/x").unwrap(), "/host/cgroup/system.slice/x");
    assert_eq!(at("/").unwrap(), "/host/cgroup/kubepods.slice/pod1/agent");
    assert_eq!(at("/../../../../x"), None, "it is above what is mounted");
    assert_eq!(folder(IN_CONTAINER, &[], "/../../pod2/app"), None, "we do not know where we are");
    assert_eq!(folder(V2, &[], "/../x"), None);
}

#[test]
fn our_own_cgroup_is_found_by_its_inode() {
    let root = tempfile::tempdir().unwrap();
    let own = root.path().join("kubepods/pod1/agent");
    for path in ["kubepods/pod1/agent", "kubepods/pod0/agent", "system/x/y"] {
        fs::create_dir_all(root.path().join(path)).unwrap();
    }
    let inode = fs::metadata(&own).unwrap().ino();
    let find = |depth| find_inode(root.path(), depth, inode, &mut 100);
    assert_eq!(find(3).unwrap(), ["kubepods", "pod1", "agent"]);
    assert_eq!(find(2), None);
    assert_eq!(find_inode(root.path(), 3, inode, &mut 2), None, "it is bounded");
}

#[test]
fn each_version_has_its_line() {
    let text = "4:memory:/a:b\n1:cpu,cpuacct:/c\n0::/d\n";
    assert_eq!(path_of(text, Version::One), Some("/a:b"));
    assert_eq!(path_of(text, Version::Two), Some("/d"));
    assert_eq!(path_of("1:cpu:/c\n", Version::One), None);
}

#[test]
fn the_closest_limit_counts_and_kills_are_found() {
    let root = tempfile::tempdir().unwrap();
    let own = root.path().join("slice/app");
    fs::create_dir_all(&own).unwrap();
    let write = |path: &str, text: &str| fs::write(root.path().join(path), text).unwrap();
    write("slice/memory.max", "1000\n");
    write("slice/memory.current", "300\n");
    write("slice/app/memory.max", "500\n");
    write("slice/app/memory.current", "450\n");
    write("slice/app/memory.stat", "anon 1\nactive_file 40\ninactive_file 60\n");
    write("slice/app/memory.events", "oom_kill 2\n");
    write("slice/memory.events", "oom_kill 5\n");
    let limited = vec![(own.clone(), 500), (root.path().join("slice"), 1000)];
    let (folder, mount) = (own.clone(), root.path().to_owned());
    let place = CgroupPlace { version: Version::Two, folder, mount, limited };
    assert_eq!(place.used(80), Some(Level { used: 350, limit: 500 }));
    assert_eq!(place.used(95), Some(Level { used: 450, limit: 500 }), "far away it does not matter");
    assert_eq!((place.oom_kills(), place.oom_kills_around()), (Some(2), Some(5)));
    write("slice/app/memory.events.local", "oom_kill 1\n");
    assert_eq!(place.oom_kills(), Some(1));
    fs::remove_dir_all(&own).unwrap();
    assert_eq!((place.oom_kills(), place.oom_kills_around()), (None, Some(5)));
    assert_eq!(place.used(80), Some(Level { used: 300, limit: 1000 }));
}

#[test]
fn this_machine_says_how_much_it_has() {
    let procfs = Procfs::system();
    let machine = machine(&procfs).unwrap();
    let own = resident(&procfs, Pid::own()).unwrap();
    assert!(own > 0 && own < machine.limit, "{own} of {machine:?}");
    assert!(machine.used < machine.limit);
}
