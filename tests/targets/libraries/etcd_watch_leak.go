package main

import (
	"context"
	"fmt"

	"leaktrace.test/targets/behaviour"
)

// A watch per request, whose context nobody cancels after the first event: etcd-io/etcd#13610, etcd-io/etcd#9103.
//
// leaks: go.etcd.io/etcd/clientv3.(*watchGrpcStream).run
// leaks: go.etcd.io/etcd/client/v3.(*watchGrpcStream).run
func init() {
	behaviour.Register("etcd_watch_leak", func() {
		client := etcdClient(etcdServer())
		behaviour.Every(request, func(n int) { etcdPut(client, n) })
		behaviour.Every(leak, func(n int) {
			client.Watch(context.Background(), fmt.Sprint("key/", n%50)) // from
		})
	})
}
