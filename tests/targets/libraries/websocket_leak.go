package main

import (
	"time"

	"github.com/gorilla/websocket"
	"leaktrace.test/targets/behaviour"
)

var forgotten []chan []byte

// The hub forgets to close what its writers receive from when a reader ends: micro/micro#1750.
func init() {
	behaviour.Register("websocket_writer_leak", func() {
		url := websocketServer(serveForgetfully)
		behaviour.Every(leak, func(int) {
			connection := websocketDial(url)
			time.Sleep(300 * time.Millisecond)
			complain(connection.Close())
		})
		chat := websocketServer(serveChat)
		clients(20, func(int) { readPump(websocketDial(chat)) })
	})
}

func serveForgetfully(connection *websocket.Conn) {
	messages := make(chan []byte, 8)
	forgotten = append(forgotten, messages)
	go writeForgetfully(connection, messages) // leaks
	readPump(connection)
}

func writeForgetfully(connection *websocket.Conn, messages <-chan []byte) {
	for message := range messages { // stuck
		if connection.WriteMessage(websocket.TextMessage, message) != nil {
			return
		}
	}
}
