use proptest::prelude::*;
use prost::Message as _;

use super::proto::{ContainerStatus, ListPodsResponse, ObjectMeta, OwnerReference, PodMessage, PodStatus};
use super::*;

const A: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const B: &str = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";

/// What a kubelet answers at `/pods`, with much that nobody needs left out, and one of each kind of pod left in.
fn list() -> String {
    include_str!("tests/pods.json").replace("<A>", A).replace("<B>", B)
}

fn id(number: u8) -> String {
    format!("{number:064x}")
}

#[track_caller]
fn told(pods: &Pods, id: &str) -> String {
    let place = pods.get(id).unwrap_or_else(|| panic!("{id} is not there"));
    format!("{place} of {} {}", place.workload_kind, place.workload)
}

#[test]
fn each_container_is_in_its_pod_and_that_in_its_workload() {
    let pods = Pods::of_json(list().as_bytes()).unwrap();
    for (id, expected) in [
        (A.to_owned(), "shop/order-5bd7f9c6d4-x7k2p/order of Deployment order"),
        (B.to_owned(), "shop/order-5bd7f9c6d4-x7k2p/proxy of Deployment order"),
        (id(1), "shop/order-5bd7f9c6d4-x7k2p/migrate of Deployment order"),
        (id(2), "shop/order-5bd7f9c6d4-x7k2p/debugger-1 of Deployment order"),
        (id(3), "shop/db-0/db of StatefulSet db"),
        (id(4), "kube-system/node-exporter-abcde/exporter of DaemonSet node-exporter"),
        // A mirror pod: its uid is not the one in the path of its control group.
        (id(5), "kube-system/kube-apiserver-n1/kube-apiserver of Pod kube-apiserver-n1"),
        (id(6), "shop/report-29412345-q9x8z/report of CronJob report"),
        (id(7), "shop/import-q9x8z/import of Job import"),
        (id(8), "shop/by-hand/shell of Pod by-hand"),
        // A ReplicaSet that no Deployment has made.
        (id(9), "shop/alone-zz1x2/web of ReplicaSet alone"),
    ] {
        assert_eq!(told(&pods, &id), expected);
    }
    // One waits to be started, and one has an id that is none.
    assert_eq!(pods.len(), 11);
}

#[test]
fn no_pods_are_a_list_too() {
    for text in [r#"{"kind":"PodList","apiVersion":"v1","items":null}"#, r#"{"items":[]}"#, "{}"] {
        assert!(Pods::of_json(text.as_bytes()).unwrap().is_empty(), "{text}");
    }
    assert!(Pods::of_message(b"").unwrap().is_empty());
    for text in ["", "null", "[]", "{", r#"{"items":{}}"#, r#"{"items":[{"metadata":1}]}"#] {
        assert!(matches!(Pods::of_json(text.as_bytes()), Err(PodsError::Json(_))), "{text}");
    }
    for bytes in [&b"\x0a"[..], b"\x0a\x05\x0a", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"] {
        assert!(matches!(Pods::of_message(bytes), Err(PodsError::Message(_))), "{bytes:?}");
    }
}

#[test]
fn messages_say_the_same() {
    let status = |name: &str, id: &str| ContainerStatus {
        name: name.to_owned(),
        container_id: if id.is_empty() { String::new() } else { format!("containerd://{id}") },
    };
    let pod = PodMessage {
        metadata: Some(ObjectMeta {
            name: "order-5bd7f9c6d4-x7k2p".to_owned(),
            namespace: "shop".to_owned(),
            labels: [("pod-template-hash".to_owned(), "5bd7f9c6d4".to_owned())].into(),
            owner_references: vec![
                OwnerReference { kind: "Other".to_owned(), name: "x".to_owned(), controller: false },
                OwnerReference {
                    kind: "ReplicaSet".to_owned(),
                    name: "order-5bd7f9c6d4".to_owned(),
                    controller: true,
                },
            ],
        }),
        status: Some(PodStatus {
            containers: vec![status("order", A), status("waits", "")],
            init: vec![status("migrate", &id(1))],
            ephemeral: vec![status("debugger-1", &id(2))],
        }),
    };
    let message = ListPodsResponse { pods: vec![pod, PodMessage::default()] }.encode_to_vec();
    let (pods, json) = (Pods::of_message(&message).unwrap(), Pods::of_json(list().as_bytes()).unwrap());
    assert_eq!(pods.len(), 3);
    for id in [A, &id(1), &id(2)] {
        assert_eq!(pods.get(id), json.get(id));
    }
}

#[test]
fn an_answer_is_one_whole_message() {
    for body in [&b"\0\0\0\0\0"[..], b"\0\0\0\0\x02\x0a\0"] {
        assert!(Pods::of_grpc(body).unwrap().is_empty(), "{body:?}");
    }
    for body in
        [&b""[..], b"\0\0\0\0", b"\x01\0\0\0\0", b"\0\0\0\0\x01", b"\0\0\0\0\0\0", b"\0\xff\xff\xff\xff\0"]
    {
        assert!(matches!(Pods::of_grpc(body), Err(PodsError::Frame)), "{body:?}");
    }
}

/// Bytes as Kubernetes' own encoder writes them, by hand: what is not needed is skipped.
#[test]
fn a_message_of_which_most_is_not_needed_is_read() {
    let field =
        |number: u8, bytes: &[u8]| [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat();
    let meta =
        [field(1, b"by-hand"), field(2, b""), field(3, b"shop"), field(5, b"uid"), vec![7 << 3, 1]].concat();
    let container =
        [field(1, b"shell"), field(2, &field(2, b"")), vec![4 << 3, 1, 5 << 3, 0], field(8, A.as_bytes())];
    let status = [field(1, b"Running"), field(8, &container.concat()), field(9, b"Burstable")].concat();
    let pod = [field(1, &meta), field(2, &field(7, b"node")), field(3, &status)].concat();
    let mut message = vec![0x0a];
    prost::encode_length_delimiter(pod.len(), &mut message).unwrap();
    message.extend(pod);
    let pods = Pods::of_message(&message).unwrap();
    assert_eq!(told(&pods, A), "shop/by-hand/shell of Pod by-hand");
}

#[test]
fn names_and_numbers_are_bounded() {
    let pod = |name: &str, containers: Vec<(String, String)>| Pod {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        containers,
        ..Pod::default()
    };
    let one = |name: &str| Pods::collect(&[pod(name, vec![("c".to_owned(), A.to_owned())])]).len();
    assert_eq!((one("a"), one(&"a".repeat(253)), one(&"a".repeat(254)), one("")), (1, 1, 0, 0));
    let many = (0..MAX_CONTAINERS + 5).map(|number| ("c".to_owned(), format!("{number:064x}"))).collect();
    assert_eq!(Pods::collect(&[pod("a", many)]).len(), MAX_CONTAINERS);
}

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for pods in [Pods::of_message(&bytes).ok(), Pods::of_json(&bytes).ok()].into_iter().flatten() {
            prop_assert!(pods.len() <= bytes.len());
        }
    }

    #[test]
    fn a_list_that_is_cut_off_is_an_error(cut in any::<prop::sample::Index>()) {
        let list = list();
        let cut = cut.index(list.trim_end().len());
        prop_assert!(Pods::of_json(&list.as_bytes()[..cut]).is_err());
    }
}
