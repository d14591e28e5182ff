package main

import (
	"io"
	"net"
	"time"

	"leaktrace.test/targets/behaviour"
)

var silent []net.Conn

// Clients that have gone without a word; a server without deadlines reads from them for ever.
func init() {
	behaviour.Register("silent_clients", func() {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		go accept(listener)
		behaviour.Every(200*time.Millisecond, func(int) {
			if connection, err := net.Dial("tcp", listener.Addr().String()); err == nil {
				silent = append(silent, connection)
			}
		})
	})
}

func accept(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go serve(connection) // leaks
	}
}

func serve(connection net.Conn) {
	_, _ = io.Copy(io.Discard, connection) // stuck
}
