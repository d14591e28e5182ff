package main

import (
	"io"
	"net"
	"time"

	"leaktrace.test/targets/behaviour"
)

// Servers that wait for connections, and connections on which nothing happens for long.
func init() {
	behaviour.Register("accept_loops", func() {
		for server := 0; server < 4; server++ {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				panic(err)
			}
			go accept(listener)
			for client := 0; client < 5; client++ {
				dial(listener.Addr().String())
			}
		}
	})
}

func accept(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go func() { _, _ = io.Copy(connection, connection) }()
	}
}

func dial(address string) {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		panic(err)
	}
	behaviour.Every(7*time.Second, func(int) { _, _ = connection.Write([]byte("still here")) })
}
