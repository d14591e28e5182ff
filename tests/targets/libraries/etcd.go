package main

import (
	"context"
	"fmt"
	"time"

	"go.etcd.io/etcd/clientv3"
)

func etcdServer() string {
	address, peers := freeAddress(), "http://"+freeAddress()
	url := "http://" + address
	startServer(address, "etcd", "--name", "one", "--data-dir", temporary(), "--log-level", "error",
		"--listen-client-urls", url, "--advertise-client-urls", url,
		"--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", "one="+peers)
	return address
}

func etcdClient(address string) *clientv3.Client {
	return must(clientv3.New(clientv3.Config{Endpoints: []string{address}, DialTimeout: 20 * time.Second}))
}

func etcdPut(client *clientv3.Client, n int) {
	_, err := client.Put(context.Background(), fmt.Sprint("key/", n%50), fmt.Sprint(n))
	complain(err)
}
