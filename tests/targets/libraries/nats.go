package main

import (
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// natsServer runs a server in this process, and says where.
func natsServer() string {
	one := must(server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true}))
	go one.Start()
	if !one.ReadyForConnections(20 * time.Second) {
		panic("the NATS server does not start")
	}
	return one.ClientURL()
}

func natsPublish(connection *nats.Conn) { complain(connection.Publish("orders", []byte("one more"))) }
