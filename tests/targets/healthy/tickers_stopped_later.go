package main

import (
	"time"

	"leaktrace.test/targets/behaviour"
)

// Sessions with a heartbeat, that end after a while.
func init() {
	behaviour.Register("tickers_stopped_later", func() {
		behaviour.Every(200*time.Millisecond, func(n int) {
			ended := make(chan struct{})
			go heartbeat(ended)
			time.AfterFunc(time.Duration(2+n%7)*time.Second, func() { close(ended) })
		})
	})
}

func heartbeat(ended <-chan struct{}) {
	ticker := time.NewTicker(700 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ended:
			return
		}
	}
}
