package main

import (
	"sync/atomic"
	"time"

	"leaktrace.test/targets/behaviour"
)

func init() {
	behaviour.Register("ticker_not_stopped", func() { behaviour.Every(100*time.Millisecond, connect) })
}

var heartbeats atomic.Int64

// The mistake: the loop has no way out when the connection is gone.
func connect(int) {
	ticker := time.NewTicker(500 * time.Millisecond)
	go func() { // leaks
		for range ticker.C { // stuck
			heartbeats.Add(1)
		}
	}()
}
