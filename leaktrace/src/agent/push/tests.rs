use std::io::{Read, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use leaktrace_tests::certificates::{Certificates, Kind};
use rustls::pki_types::ServerName;
use rustls::{ServerConnection, Stream};

use super::config::{Destination, Server, Trust};
use super::counts::Counts;
use super::courier::Courier;
use crate::agent::tls::{self, Identity};

/// How long the couriers here wait.
const PATIENCE: Duration = Duration::from_secs(1);

/// Serves one connection with what it is to do with it.
fn server(serve: impl FnOnce(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || serve(listener.accept().unwrap().0));
    address
}

/// Reads the head of a request, and says what it is.
fn head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|length| length > 0) {
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}

fn answers(answer: &'static [u8]) -> SocketAddr {
    server(move |mut stream| {
        head(&mut stream);
        stream.write_all(answer).unwrap();
    })
}

fn destination(server: Server, address: SocketAddr) -> Destination {
    let url = format!("http://{address}/prefix").parse().unwrap();
    Destination { server, url, trust: None, authorization: None, tenant: None }
}

/// What comes of one push to each of these, one after the other: sent, refused, failed and dropped.
fn pushed(server: Server, addresses: &[SocketAddr]) -> [u64; 4] {
    let counts = Arc::<Counts>::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for address in addresses {
        let to = destination(server, *address);
        let mut courier = Courier::patient(to, PATIENCE, Arc::clone(&counts));
        runtime.block_on(courier.send(b"profile".to_vec()));
    }
    let figures = counts.figures(&[server]);
    assert!(figures.iter().all(|(name, ..)| *name == server.as_str()));
    std::array::from_fn(|at| figures[at].2)
}

#[test]
fn a_request_says_what_it_is_and_who_sends_it() {
    let (sender, heads) = mpsc::channel();
    let address = server(move |mut stream| {
        sender.send(head(&mut stream)).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    let to = Destination {
        authorization: Some("Bearer 0123456789abcdef".parse().unwrap()),
        tenant: Some("shop".parse().unwrap()),
        ..destination(Server::Pyroscope, address)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(Courier::patient(to, PATIENCE, Arc::default()).send(b"profile".to_vec()));
    let head = heads.recv().unwrap();
    assert!(head.starts_with("POST /prefix/push.v1.PusherService/Push HTTP/1.1\r\n"), "{head}");
    for header in [
        format!("host: {address}"),
        "content-type: application/proto".to_owned(),
        "content-length: 7".to_owned(),
        "authorization: Bearer 0123456789abcdef".to_owned(),
        "x-scope-orgid: shop".to_owned(),
    ] {
        assert!(head.lines().any(|line| line == header), "{header}: {head}");
    }
}

#[test]
fn each_server_says_in_its_own_way_what_became_of_it() {
    const NOTHING: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    const UNKNOWN: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone";
    const BAD: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n{}";
    for server in [Server::Pyroscope, Server::Otlp] {
        assert_eq!(pushed(server, &[answers(NOTHING), answers(BAD), answers(UNKNOWN)]), [1, 1, 1, 0]);
    }
    let done: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\n\0\0\0\0\0\x80\0\0\0\x10grpc-status: 0\r\n";
    let refused: &[u8] = b"HTTP/1.1 200 OK\r\nGrpc-Status: 3\r\nContent-Length: 0\r\n\r\n";
    // Some other server that takes everything is none.
    assert_eq!(pushed(Server::Parca, &[answers(done), answers(refused), answers(NOTHING)]), [1, 1, 1, 0]);
}

#[test]
fn a_server_that_hangs_or_talks_without_end_costs_a_bounded_time() {
    let began = Instant::now();
    let hangs = server(|stream| {
        // Until the other side gives up.
        _ = (&stream).read(&mut [0; 1]);
        thread::park_timeout(Duration::from_mins(1));
        drop(stream);
    });
    let without_end = |begin: &'static [u8], again: &'static [u8]| {
        server(move |mut stream| {
            head(&mut stream);
            _ = stream.write_all(begin);
            while stream.write_all(again).is_ok() {}
        })
    };
    let body = without_end(b"HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 4096]);
    let header = without_end(b"HTTP/1.1 200 OK\r\nX: ", &[b'x'; 4096]);
    let headers = without_end(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n");
    let not_yet = without_end(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n");
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let other = answers(b"SSH-2.0-OpenSSH_9.2\r\n");
    let elsewhere = answers(
        b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    );
    let cut_off = answers(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
    let all = [hangs, body, header, headers, not_yet, nobody, other, elsewhere, cut_off];
    assert_eq!(pushed(Server::Pyroscope, &all), [0, 0, 9, 0]);
    assert!(began.elapsed() < PATIENCE * 5, "{:?}", began.elapsed());
}

#[test]
fn whoever_has_no_certificate_of_the_right_authority_gets_nothing() {
    let (ours, others) = (Certificates::make(Kind::Ecdsa), Certificates::make(Kind::Ecdsa));
    let identity = Identity::read(&ours.certificate(), &ours.key()).unwrap();
    let (sender, heads) = mpsc::channel();
    let listens = |sender: mpsc::Sender<String>| {
        let config = identity.server();
        server(move |mut stream| {
            let mut connection = ServerConnection::new(config).unwrap();
            let mut tls = Stream::new(&mut connection, &mut stream);
            sender.send(head(&mut tls)).unwrap();
            _ = tls.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        })
    };
    let counts = Arc::<Counts>::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (address, trusted) in [
        (listens(sender.clone()), &ours),
        (listens(sender), &others),
        (answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), &ours),
    ] {
        let config = Arc::new(tls::client(&trusted.authority()).unwrap());
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let trust = Some(Trust { config, name });
        let to = Destination { trust, ..destination(Server::Otlp, address) };
        runtime.block_on(Courier::patient(to, PATIENCE, Arc::clone(&counts)).send(b"metrics".to_vec()));
    }
    let came: Vec<u64> = counts.figures(&[Server::Otlp]).into_iter().map(|(.., count)| count).collect();
    assert_eq!(came, [1, 0, 2, 0]);
    assert!(heads.recv().unwrap().starts_with("POST /prefix/v1/metrics HTTP/1.1"));
    assert_eq!(heads.recv().unwrap(), "", "nothing is said to somebody else");
}

#[test]
fn a_server_that_has_failed_is_left_alone() {
    let counts = Arc::<Counts>::default();
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let mut courier = Courier::patient(destination(Server::Otlp, nobody), PATIENCE, Arc::clone(&counts));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert!(courier.is_open());
    runtime.block_on(courier.send(Vec::new()));
    assert!(!courier.is_open());
    courier.drop(3);
    let expected = [("sent", 0), ("refused", 0), ("failed", 1), ("dropped", 3)];
    assert_eq!(counts.figures(&[Server::Otlp]), expected.map(|(result, count)| ("otlp", result, count)));
}
