package main

import (
	"time"

	"leaktrace.test/targets/behaviour"
)

// A bucket that is filled by the clock, and requests that wait for their turn; those that are too many go away.
func init() {
	behaviour.Register("rate_limiter", func() {
		tokens := make(chan struct{})
		behaviour.Every(120*time.Millisecond, func(int) {
			select {
			case tokens <- struct{}{}:
			default:
			}
		})
		behaviour.Every(100*time.Millisecond, func(int) { go takeTurn(tokens) })
	})
}

func takeTurn(tokens <-chan struct{}) {
	patience := time.NewTimer(3 * time.Second)
	defer patience.Stop()
	select {
	case <-tokens:
	case <-patience.C:
	}
}
