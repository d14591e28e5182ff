package main

import (
	"context"
	"fmt"
	"time"

	"leaktrace.test/targets/behaviour"
)

// Services that come one by one and stay, each with a client, a lease and a watch; watches that are cancelled after a
// while; and puts all the time. The server is watched as well.
func init() {
	behaviour.Register("etcd_services_ok", func() {
		address := etcdServer()
		shared := etcdClient(address)
		behaviour.Every(request, func(n int) { etcdPut(shared, n) })
		behaviour.Every(arrival, func(n int) {
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(time.Duration(10+n%40)*time.Second, cancel)
			watched := shared.Watch(ctx, fmt.Sprint("key/", n%50))
			go func() {
				for range watched {
				}
			}()
		})
		clients(200, func(service int) { register(address, service) })
	})
}

func register(address string, service int) {
	client := etcdClient(address)
	defer client.Close()
	lease := must(client.Grant(context.Background(), 60))
	alive := must(client.KeepAlive(context.Background(), lease.ID))
	news := client.Watch(context.Background(), fmt.Sprint("service/", service))
	for {
		select {
		case _, more := <-alive:
			if !more {
				return
			}
		case <-news:
		}
	}
}
