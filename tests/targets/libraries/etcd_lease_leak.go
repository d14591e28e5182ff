package main

import (
	"context"

	"leaktrace.test/targets/behaviour"
)

// A client per registration that is never closed, with a lease that is kept alive: of the kind of
// etcd-io/etcd#9103, where each watch has a client of its own.
//
// leaks: go.etcd.io/etcd/clientv3.newClient
// leaks: go.etcd.io/etcd/client/v3.newClient
// leaks: go.etcd.io/etcd/clientv3.(*lessor).KeepAlive
// leaks: go.etcd.io/etcd/client/v3.(*lessor).KeepAlive
// leaks: go.etcd.io/etcd/clientv3.(*lessor).KeepAlive.func1
// leaks: go.etcd.io/etcd/client/v3.(*lessor).KeepAlive.func1
// leaks: google.golang.org/grpc.newCCBalancerWrapper
// leaks: google.golang.org/grpc.newClientStream
// leaks: google.golang.org/grpc.newClientStreamWithParams
// leaks: google.golang.org/grpc.(*addrConn).connect
// leaks: google.golang.org/grpc.(*addrConn).resetTransport
// leaks: google.golang.org/grpc/internal/grpcsync.NewCallbackSerializer
// leaks: google.golang.org/grpc/internal/transport.newHTTP2Client
// leaks: google.golang.org/grpc/internal/transport.NewHTTP2Client
func init() {
	behaviour.Register("etcd_lease_leak", func() {
		address := etcdServer()
		shared := etcdClient(address)
		behaviour.Every(request, func(n int) { etcdPut(shared, n) })
		behaviour.Every(leak, func(int) {
			own := etcdClient(address) // from
			lease := must(own.Grant(context.Background(), 600))
			must(own.KeepAlive(context.Background(), lease.ID)) // from
		})
	})
}
