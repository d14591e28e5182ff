package main

import (
	"io"
	"time"

	"leaktrace.test/targets/behaviour"
)

// Agents that connect one by one and stay; some have a stream open all the time.
func init() {
	behaviour.Register("yamux_agents_ok", func() {
		address := yamuxServer()
		shared := yamuxDial(address)
		behaviour.Every(request, func(int) { yamuxCall(shared) })
		clients(100, func(agent int) {
			session := yamuxDial(address)
			defer session.Close()
			stream := must(session.Open())
			for range time.NewTicker(30 * time.Second).C {
				must(stream.Write([]byte("alive")))
				must(io.ReadFull(stream, make([]byte, 5)))
			}
		})
	})
}
