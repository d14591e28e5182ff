//! Builds `tests/targets/libraries` with the libraries of a release of Debian, without modules: they are sources below a
//! GOPATH, and nothing of them is copied into the repository.

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::run::run;
use super::target::{Mode, Sources, leak_profile};
use super::toolchain::{cache_dir, lock};
use super::{Toolchain, Version};
use crate::packages::go_path;

/// A release of Debian, whose libraries have versions of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// Debian 12.
    Bookworm,
    /// Debian 13.
    Trixie,
}

/// The packages of both releases.
const PACKAGES: [&str; 23] = [
    "golang-github-docker-docker-dev",
    "golang-github-eclipse-paho.mqtt.golang-dev",
    "golang-github-fsnotify-fsnotify-dev",
    "golang-github-go-co-op-gocron-dev",
    "golang-github-gomodule-redigo-dev",
    "golang-github-gorilla-websocket-dev",
    "golang-github-hashicorp-yamux-dev",
    "golang-github-jackc-pgx-v4-dev",
    "golang-github-lib-pq-dev",
    "golang-github-nats-io-go-nats-dev",
    "golang-github-nats-io-nats-server-dev",
    "golang-github-nxadm-tail-dev",
    "golang-github-rabbitmq-amqp091-go-dev",
    "golang-github-robfig-cron-dev",
    "golang-github-segmentio-kafka-go-dev",
    "golang-golang-x-crypto-dev",
    "golang-golang-x-sync-dev",
    "golang-google-grpc-dev",
    "golang-gopkg-natefinch-lumberjack.v2-dev",
    "golang-gopkg-redis.v5-dev",
    "golang-mongodb-mongo-driver-dev",
    "golang-etcd-server-dev",
    "golang-github-go-sql-driver-mysql-dev",
];

/// How behaviours begin whose library bookworm does not have: their files begin with `//go:build trixie`.
const ONLY_TRIXIE: [&str; 2] = ["informer", "workqueue"];

/// Import paths of bookworm's libraries that are others in trixie.
const MOVED: [(&str, &str); 2] = [
    ("github.com/Shopify/sarama", "github.com/IBM/sarama"),
    ("go.etcd.io/etcd/clientv3", "go.etcd.io/etcd/client/v3"),
];

impl Suite {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Bookworm, Self::Trixie];

    /// Its name, which is also the build tag of what only it has.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }

    /// Whether the program has this behaviour when it is built with this release's libraries.
    pub fn has(self, behaviour: &str) -> bool {
        self == Self::Trixie || !ONLY_TRIXIE.iter().any(|library| behaviour.starts_with(library))
    }

    /// The packages that this release calls by another name, or that only it has.
    const fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Bookworm => &["golang-github-shopify-sarama-dev"],
            Self::Trixie => &["golang-github-ibm-sarama-dev", "golang-k8s-client-go-dev"],
        }
    }

    /// The program with this release's libraries, built first unless the cache has it; `say` is told what takes time.
    pub fn build(self, version: Version, say: &mut dyn FnMut(&str)) -> Result<PathBuf> {
        let mut sources = Sources::of_libraries()?;
        if self == Self::Trixie {
            for (before, now) in MOVED {
                sources.replace(before, now);
            }
        }
        let directory = cache_dir("targets").join(sources.hash());
        let _lock = lock(&directory, "build.lock")?;
        let name = format!("libraries-{}-{version}", self.as_str());
        let binary = directory.join(&name);
        if !binary.exists() {
            let packages = [&PACKAGES, self.packages()].concat();
            let libraries = go_path(&packages, self.as_str(), say)?;
            let toolchain = Toolchain::get(version, say)?;
            say(&format!("building {name}, which takes some minutes the first time"));
            let ours = directory.join(format!("gopath-{name}"));
            let tree = ours.join("src/leaktrace.test/targets");
            sources.copy_to(&tree, version)?;
            let partial = directory.join(format!("{name}.partial"));
            let mut command = toolchain.go();
            command
                .current_dir(&tree)
                .env("GO111MODULE", "off")
                .env("GOFLAGS", "")
                .env("GOPATH", env::join_paths([&ours, &libraries])?)
                .env("CGO_ENABLED", "0")
                .envs(leak_profile(version))
                .args(["build", "-trimpath", "-buildvcs=false", "-tags", self.as_str(), "-o"])
                .args(Mode::Plain.arguments())
                .arg(&partial)
                .arg("leaktrace.test/targets/libraries");
            run(&mut command).with_context(|| format!("cannot build {name}"))?;
            fs::rename(&partial, &binary)?;
        }
        Ok(binary)
    }
}
