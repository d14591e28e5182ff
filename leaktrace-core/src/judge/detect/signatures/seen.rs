//! Stacks of leaks as they were seen in programs on real libraries, in the versions of Debian 12 and 13 (where they
//! differ: one row for each), and the signature that each has to be known by.

use super::Signatures;
use crate::judge::detect::observation::{Standing, made_up};
use crate::schema::Frame;

/// A signature's name; the function with the `go` statement; what goroutines wait for; their stack, innermost first.
type Row = (&'static str, &'static str, &'static str, &'static [&'static str]);

const ROWS: &[Row] = &[
    (
        "nats-subscription-not-ended",
        "github.com/nats-io/nats.go.(*Conn).subscribeLocked",
        "sync.Cond.Wait",
        &["sync.(*Cond).Wait", "github.com/nats-io/nats.go.(*Conn).waitForMsgs"],
    ),
    (
        "lumberjack-logger-per-use",
        "gopkg.in/natefinch/lumberjack.v2.(*Logger).mill.func1",
        "chan receive",
        &["gopkg.in/natefinch/lumberjack.v2.(*Logger).millRun"],
    ),
    (
        "cron-scheduler-not-stopped",
        "github.com/robfig/cron.(*Cron).Start",
        "select",
        &["github.com/robfig/cron.(*Cron).run"],
    ),
    (
        "cron-scheduler-not-stopped",
        "github.com/robfig/cron/v3.(*Cron).Start",
        "select",
        &["github.com/robfig/cron/v3.(*Cron).run"],
    ),
    (
        "cron-job-does-not-end",
        "github.com/robfig/cron.(*Cron).startJob",
        "chan receive",
        &[
            "main.main.func1",
            "github.com/robfig/cron.FuncJob.Run",
            "github.com/robfig/cron.(*Cron).startJob.func1",
        ],
    ),
    (
        "gocron-scheduler-not-stopped",
        "github.com/go-co-op/gocron.(*Scheduler).start",
        "select",
        &["github.com/go-co-op/gocron.(*executor).start"],
    ),
    (
        "pgx-pool-not-closed",
        "github.com/jackc/pgx/v4/pgxpool.ConnectConfig",
        "select",
        &["github.com/jackc/pgx/v4/pgxpool.(*Pool).backgroundHealthCheck"],
    ),
    (
        "pgx-rows-not-closed",
        "main.main",
        "sync.Cond.Wait",
        &[
            "sync.(*Cond).Wait",
            "github.com/jackc/puddle.(*Pool).Acquire",
            "github.com/jackc/pgx/v4/pgxpool.(*Pool).Acquire",
            "github.com/jackc/pgx/v4/pgxpool.(*Pool).Query",
            "main.find",
        ],
    ),
    (
        "redis-pool-not-closed",
        "gopkg.in/redis.v5/internal/pool.NewConnPool",
        "chan receive",
        &["gopkg.in/redis.v5/internal/pool.(*ConnPool).reaper"],
    ),
    (
        "redis-subscription-not-closed",
        "main.listen",
        "IO wait",
        &[
            "gopkg.in/redis.v5/internal/proto.(*Reader).ReadLine",
            "gopkg.in/redis.v5.(*Cmd).readReply",
            "gopkg.in/redis.v5.(*PubSub).ReceiveTimeout",
            "gopkg.in/redis.v5.(*PubSub).ReceiveMessage",
        ],
    ),
    (
        "redis-subscription-not-closed",
        "main.listen",
        "IO wait",
        &[
            "github.com/gomodule/redigo/redis.(*conn).readLine",
            "github.com/gomodule/redigo/redis.(*activeConn).Receive",
            "github.com/gomodule/redigo/redis.PubSubConn.Receive",
        ],
    ),
    (
        "ssh-client-not-closed",
        "golang.org/x/crypto/ssh.NewClient",
        "chan receive",
        &["golang.org/x/crypto/ssh.(*Client).handleGlobalRequests"],
    ),
    (
        "ssh-client-not-closed",
        "golang.org/x/crypto/ssh.NewClient",
        "sync.Cond.Wait",
        &["golang.org/x/crypto/ssh.(*mux).Wait", "golang.org/x/crypto/ssh.NewClient.func1"],
    ),
    (
        "ssh-client-not-closed",
        "golang.org/x/crypto/ssh.newClientTransport",
        "IO wait",
        &[
            "golang.org/x/crypto/ssh.(*gcmCipher).readCipherPacket",
            "golang.org/x/crypto/ssh.(*transport).readPacket",
            "golang.org/x/crypto/ssh.(*handshakeTransport).readLoop",
        ],
    ),
    (
        "yamux-session-not-closed",
        "github.com/hashicorp/yamux.newSession",
        "select",
        &["github.com/hashicorp/yamux.(*Session).send"],
    ),
    (
        "yamux-session-not-closed",
        "github.com/hashicorp/yamux.newSession",
        "select",
        &["github.com/hashicorp/yamux.(*Session).sendLoop", "github.com/hashicorp/yamux.(*Session).send"],
    ),
    (
        "etcd-watch-not-cancelled",
        "go.etcd.io/etcd/clientv3.(*watchGrpcStream).run",
        "select",
        &["go.etcd.io/etcd/clientv3.(*watchGrpcStream).serveSubstream"],
    ),
    (
        "etcd-lease-not-ended",
        "go.etcd.io/etcd/clientv3.(*lessor).KeepAlive.func1",
        "select",
        &["go.etcd.io/etcd/clientv3.(*lessor).deadlineLoop"],
    ),
    (
        "etcd-watch-not-cancelled",
        "go.etcd.io/etcd/client/v3.(*watchGrpcStream).run",
        "select",
        &["go.etcd.io/etcd/client/v3.(*watchGrpcStream).serveSubstream"],
    ),
    (
        "etcd-lease-not-ended",
        "go.etcd.io/etcd/client/v3.(*lessor).KeepAlive.func1",
        "select",
        &["go.etcd.io/etcd/client/v3.(*lessor).deadlineLoop"],
    ),
    (
        "mongo-client-not-disconnected",
        "go.mongodb.org/mongo-driver/x/mongo/driver/topology.(*pool).connect",
        "sync.Cond.Wait",
        &["go.mongodb.org/mongo-driver/x/mongo/driver/topology.(*pool).createConnections"],
    ),
    (
        "mongo-client-not-disconnected",
        "go.mongodb.org/mongo-driver/x/mongo/driver/topology.newPool",
        "select",
        &["go.mongodb.org/mongo-driver/x/mongo/driver/topology.(*pool).maintain"],
    ),
    (
        "docker-events-not-cancelled",
        "github.com/docker/docker/client.(*Client).Events",
        "select",
        &["github.com/docker/docker/client.(*Client).Events.func1"],
    ),
    (
        "tail-not-stopped",
        "github.com/nxadm/tail.TailFile",
        "select",
        &["github.com/nxadm/tail.(*Tail).waitForChanges", "github.com/nxadm/tail.(*Tail).tailFileSync"],
    ),
    (
        "tail-not-stopped",
        "github.com/nxadm/tail/watch.(*InotifyFileWatcher).ChangeEvents",
        "select",
        &["github.com/nxadm/tail/watch.(*InotifyFileWatcher).ChangeEvents.func1"],
    ),
    (
        "fsnotify-watcher-not-closed",
        "github.com/fsnotify/fsnotify.NewWatcher",
        "IO wait",
        &["os.(*File).Read", "github.com/fsnotify/fsnotify.(*Watcher).readEvents"],
    ),
    (
        "fsnotify-watcher-not-closed",
        "github.com/fsnotify/fsnotify.newBufferedBackend",
        "IO wait",
        &["os.(*File).Read", "github.com/fsnotify/fsnotify.(*inotify).readEvents"],
    ),
    (
        "kafka-client-not-closed",
        "github.com/segmentio/kafka-go.(*Reader).start",
        "select",
        &["github.com/segmentio/kafka-go.(*reader).sendError", "github.com/segmentio/kafka-go.(*reader).run"],
    ),
    (
        "kafka-client-not-closed",
        "github.com/IBM/sarama.(*asyncProducer).newBrokerProducer",
        "chan receive",
        &[
            "github.com/IBM/sarama.(*asyncProducer).newBrokerProducer.func2",
            "github.com/IBM/sarama.withRecover",
        ],
    ),
    (
        "informer-not-stopped",
        "k8s.io/apimachinery/pkg/util/wait.(*Group).Start",
        "chan receive",
        &[
            "k8s.io/client-go/tools/cache.(*processorListener).run.func1",
            "k8s.io/apimachinery/pkg/util/wait.BackoffUntil",
            "k8s.io/client-go/tools/cache.(*processorListener).run",
        ],
    ),
    (
        "informer-not-stopped",
        "main.main",
        "sync.Cond.Wait",
        &[
            "k8s.io/client-go/tools/cache.(*DeltaFIFO).Pop",
            "k8s.io/client-go/tools/cache.(*controller).processLoop",
            "k8s.io/apimachinery/pkg/util/wait.Until",
        ],
    ),
    (
        "workqueue-not-shut-down",
        "k8s.io/client-go/util/workqueue.newDelayingQueue[...]",
        "select",
        &["k8s.io/client-go/util/workqueue.(*delayingType[...]).waitingLoop"],
    ),
    (
        "semaphore-not-released",
        "main.main",
        "select",
        &["golang.org/x/sync/semaphore.(*Weighted).Acquire", "main.upload"],
    ),
    (
        "grpc-connection-not-closed",
        "google.golang.org/grpc/internal/transport.newHTTP2Client",
        "IO wait",
        &[
            "golang.org/x/net/http2.(*Framer).ReadFrame",
            "google.golang.org/grpc/internal/transport.(*http2Client).reader",
        ],
    ),
    (
        "grpc-client-not-closed",
        "google.golang.org/grpc.newCCBalancerWrapper",
        "select",
        &["google.golang.org/grpc.(*ccBalancerWrapper).watcher"],
    ),
    (
        "grpc-client-not-closed",
        "google.golang.org/grpc/internal/grpcsync.NewCallbackSerializer",
        "select",
        &["google.golang.org/grpc/internal/grpcsync.(*CallbackSerializer).run"],
    ),
    (
        "grpc-server-connection-left",
        "google.golang.org/grpc/internal/transport.newHTTP2Server",
        "select",
        &["google.golang.org/grpc/internal/transport.(*http2Server).keepalive"],
    ),
    (
        "grpc-server-connection-left",
        "google.golang.org/grpc/internal/transport.NewServerTransport",
        "select",
        &[
            "google.golang.org/grpc/internal/transport.(*controlBuffer).get",
            "google.golang.org/grpc/internal/transport.(*loopyWriter).run",
            "google.golang.org/grpc/internal/transport.NewServerTransport.func2",
        ],
    ),
    (
        "grpc-stream-not-ended",
        "google.golang.org/grpc.newClientStream",
        "select",
        &["google.golang.org/grpc.newClientStream.func5"],
    ),
    (
        "grpc-stream-not-ended",
        "google.golang.org/grpc.newClientStreamWithParams",
        "select",
        &["google.golang.org/grpc.newClientStreamWithParams.func4"],
    ),
];

/// Those who use what would be left behind: the signature, and the stack of one of them.
const USERS: &[(&str, &[&str])] = &[
    (
        "grpc-connection-not-closed",
        &[
            "google.golang.org/grpc/internal/transport.(*recvBufferReader).readClient",
            "google.golang.org/grpc.(*clientStream).RecvMsg",
            "google.golang.org/grpc/health/grpc_health_v1.(*healthWatchClient).Recv",
        ],
    ),
    (
        "grpc-server-connection-left",
        &[
            "golang.org/x/net/http2.(*Framer).ReadFrame",
            "google.golang.org/grpc/internal/transport.(*http2Server).HandleStreams",
            "google.golang.org/grpc.(*Server).serveStreams",
        ],
    ),
    ("grpc-stream-not-ended", &["google.golang.org/grpc.(*clientStream).RecvMsg", "main.watch"]),
    ("ssh-client-not-closed", &["golang.org/x/crypto/ssh.(*Session).Wait", "main.tunnel"]),
    ("yamux-session-not-closed", &["github.com/hashicorp/yamux.(*Stream).Read", "io.Copy", "main.echo"]),
];

fn frame(function: &str) -> Frame {
    Frame { function: Some(function.to_owned()), file: None, line: None, pc: None }
}

fn standing(created_by: &str, doing: &str, stack: &[&str]) -> Standing {
    let mut standing = made_up();
    standing.created_by.function = Some(created_by.to_owned());
    standing.doing = doing.to_owned();
    standing.stack = stack.iter().copied().map(frame).collect();
    standing
}

#[test]
fn leaks_of_real_libraries_are_known() {
    let signatures = Signatures::built_in();
    for (name, created_by, doing, stack) in ROWS {
        let found = signatures.find(&standing(created_by, doing, stack));
        assert_eq!(found.map(|signature| signature.name.as_str()), Some(*name), "{created_by}: {stack:?}");
    }
}

#[test]
fn who_uses_a_connection_shows_that_it_was_not_left() {
    let signatures = Signatures::built_in();
    for (name, stack) in USERS {
        let signature = signatures.iter().find(|signature| signature.name == *name).unwrap();
        assert!(signature.is_used_by(&standing("main.main", "select", stack)), "{name}");
        assert!(!signature.is_used_by(&standing("main.main", "select", &["main.main"])), "{name}");
    }
}
