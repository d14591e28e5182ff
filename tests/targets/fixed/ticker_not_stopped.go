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

func connect(int) {
	gone := make(chan struct{})
	time.AfterFunc(2*time.Second, func() { close(gone) })
	go func() {
		ticker := time.NewTicker(500 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				heartbeats.Add(1)
			case <-gone:
				return
			}
		}
	}()
}
