package main

import (
	"fmt"

	"github.com/nats-io/nats.go"
	"leaktrace.test/targets/behaviour"
)

// A subscription per session that is forgotten with it: topfreegames/pitaya#48, meshery/meshkit#1056.
//
// leaks: github.com/nats-io/nats.go.(*Conn).subscribeLocked
func init() {
	behaviour.Register("nats_subscription_leak", func() {
		connection := must(nats.Connect(natsServer()))
		must(connection.Subscribe("orders", func(*nats.Msg) {}))
		behaviour.Every(request, func(int) { natsPublish(connection) })
		behaviour.Every(leak, func(n int) {
			must(connection.Subscribe(fmt.Sprint("session.", n), func(*nats.Msg) {})) // from
		})
	})
}
