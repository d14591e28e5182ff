package main

import (
	"net"
	"sync"
	"time"

	"leaktrace.test/targets/behaviour"
)

// Each client has a goroutine that reads and one that writes, and stays for up to half a minute.
func init() {
	behaviour.Register("hub", func() {
		behaviour.Every(500*time.Millisecond, func(n int) {
			ours, theirs := net.Pipe()
			joined := &client{connection: ours, outbox: make(chan []byte, 4)}
			go joined.read()
			go joined.write()
			time.AfterFunc(time.Duration(5+n%25)*time.Second, func() { _ = theirs.Close() })
		})
	})
}

type client struct {
	connection net.Conn
	outbox     chan []byte
	leave      sync.Once
}

func (c *client) read() {
	defer c.leave.Do(func() { close(c.outbox) })
	buffer := make([]byte, 64)
	for {
		if _, err := c.connection.Read(buffer); err != nil {
			return
		}
	}
}

func (c *client) write() {
	for message := range c.outbox {
		if _, err := c.connection.Write(message); err != nil {
			return
		}
	}
}
