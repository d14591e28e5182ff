package main

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"leaktrace.test/targets/behaviour"
)

// Sessions of a minute or two that unsubscribe when they end, and services that stay subscribed.
func init() {
	behaviour.Register("nats_sessions_ok", func() {
		connection := must(nats.Connect(natsServer()))
		for service := 0; service < 20; service++ {
			must(connection.QueueSubscribe(fmt.Sprint("service.", service), "workers", func(*nats.Msg) {}))
		}
		must(connection.Subscribe("orders", func(*nats.Msg) {}))
		behaviour.Every(request, func(int) { natsPublish(connection) })
		behaviour.Every(arrival, func(n int) {
			subscription := must(connection.Subscribe(fmt.Sprint("session.", n), func(*nats.Msg) {}))
			time.AfterFunc(time.Duration(60+n%60)*time.Second, func() { complain(subscription.Unsubscribe()) })
		})
	})
	behaviour.Register("nats_devices_ok", func() {
		address := natsServer()
		shared := must(nats.Connect(address))
		behaviour.Every(request, func(int) { natsPublish(shared) })
		clients(200, func(device int) {
			own := must(nats.Connect(address))
			defer own.Close()
			messages := make(chan *nats.Msg, 16)
			must(own.ChanSubscribe(fmt.Sprint("device.", device), messages))
			for range messages {
			}
		})
	})
}
