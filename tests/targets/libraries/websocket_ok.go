package main

import (
	"time"

	"github.com/gorilla/websocket"
	"leaktrace.test/targets/behaviour"
)

// The chat of the library's examples: two pumps for each client, pings, and clients that come one by one and stay.
func init() {
	behaviour.Register("websocket_chat_ok", func() {
		url := websocketServer(serveChat)
		clients(200, func(int) { readPump(websocketDial(url)) })
	})
	behaviour.Register("websocket_visits_ok", func() {
		url := websocketServer(serveChat)
		behaviour.Every(arrival, func(n int) {
			connection := websocketDial(url)
			time.AfterFunc(time.Duration(30+n%60)*time.Second, func() { complain(connection.Close()) })
			go readPump(connection)
		})
	})
}

func serveChat(connection *websocket.Conn) {
	ended := make(chan struct{})
	go writeChat(connection, ended)
	readPump(connection)
	close(ended)
}

func writeChat(connection *websocket.Conn, ended <-chan struct{}) {
	ticker := time.NewTicker(10 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if connection.WriteMessage(websocket.TextMessage, []byte("news")) != nil {
				return
			}
		case <-ended:
			return
		}
	}
}
