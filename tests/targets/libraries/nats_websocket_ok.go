package main

import (
	"fmt"

	"github.com/gorilla/websocket"
	"github.com/nats-io/nats.go"
	"leaktrace.test/targets/behaviour"
)

// A subscription for each client of a websocket, which its handler ends when the client goes. Clients come one by one
// and stay.
func init() {
	behaviour.Register("nats_websocket_ok", func() {
		connection := must(nats.Connect(natsServer()))
		behaviour.Every(request, func(int) { natsPublish(connection) })
		url := websocketServer(func(client *websocket.Conn) {
			subject := fmt.Sprint("client.", client.RemoteAddr())
			subscription := must(connection.Subscribe(subject, func(message *nats.Msg) {
				complain(client.WriteMessage(websocket.TextMessage, message.Data))
			}))
			defer func() { complain(subscription.Unsubscribe()) }()
			readPump(client)
		})
		clients(300, func(int) { readPump(websocketDial(url)) })
	})
}
