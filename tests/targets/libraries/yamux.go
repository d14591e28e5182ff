package main

import (
	"io"
	"net"

	"github.com/hashicorp/yamux"
)

// yamuxServer echoes on every stream of every session.
func yamuxServer() string {
	listener := listen()
	go func() {
		for {
			go serveYamux(must(listener.Accept()))
		}
	}()
	return listener.Addr().String()
}

func serveYamux(connection net.Conn) {
	session := must(yamux.Server(connection, nil))
	for {
		stream, err := session.Accept()
		if err != nil {
			return
		}
		go echo(stream)
	}
}

func echo(stream net.Conn) {
	defer stream.Close()
	_, _ = io.Copy(stream, stream)
}

func yamuxDial(address string) *yamux.Session {
	return must(yamux.Client(must(net.Dial("tcp", address)), nil))
}

func yamuxCall(session *yamux.Session) {
	stream := must(session.Open())
	defer stream.Close()
	must(stream.Write([]byte("hello")))
	must(io.ReadFull(stream, make([]byte, 5)))
}
