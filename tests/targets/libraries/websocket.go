package main

import (
	"net/http"

	"github.com/gorilla/websocket"
)

// websocketServer upgrades every request and hands its connection to `serve`.
func websocketServer(serve func(*websocket.Conn)) string {
	listener, upgrader := listen(), websocket.Upgrader{}
	handler := func(w http.ResponseWriter, r *http.Request) {
		if connection, err := upgrader.Upgrade(w, r, nil); err == nil {
			serve(connection)
		}
	}
	go func() { check(http.Serve(listener, http.HandlerFunc(handler))) }()
	return "ws://" + listener.Addr().String()
}

func websocketDial(url string) *websocket.Conn {
	connection, _, err := websocket.DefaultDialer.Dial(url, nil)
	return must(connection, err)
}

// readPump reads until the peer closes.
func readPump(connection *websocket.Conn) {
	defer connection.Close()
	for {
		if _, _, err := connection.ReadMessage(); err != nil {
			return
		}
	}
}
