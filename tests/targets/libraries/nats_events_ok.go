package main

import (
	"bufio"
	"fmt"
	"net/http"

	"github.com/nats-io/nats.go"
	"leaktrace.test/targets/behaviour"
)

// Server-sent events out of a subscription with a channel, for clients that come one by one and stay.
func init() {
	behaviour.Register("nats_events_ok", func() {
		connection := must(nats.Connect(natsServer()))
		behaviour.Every(request, func(int) { natsPublish(connection) })
		url := httpServer(func(w http.ResponseWriter, r *http.Request) { natsEvents(connection, w, r) })
		clients(300, func(int) {
			response := must(http.Get(url))
			defer response.Body.Close()
			for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			}
		})
	})
}

func natsEvents(connection *nats.Conn, w http.ResponseWriter, r *http.Request) {
	messages := make(chan *nats.Msg, 16)
	subscription := must(connection.ChanSubscribe(fmt.Sprint("client.", r.RemoteAddr), messages))
	defer func() { complain(subscription.Unsubscribe()) }()
	lines := make(chan string)
	go func() {
		for {
			select {
			case message := <-messages:
				lines <- string(message.Data)
			case <-r.Context().Done():
				return
			}
		}
	}()
	w.(http.Flusher).Flush()
	for {
		select {
		case line := <-lines:
			fmt.Fprintln(w, "data:", line)
		case <-r.Context().Done():
			return
		}
	}
}
