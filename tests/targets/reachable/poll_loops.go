package main

import (
	"sync/atomic"
	"time"

	"leaktrace.test/targets/behaviour"
)

var checks atomic.Int64

// Each upload starts somebody who looks every second whether it is there, and never stops.
func init() {
	behaviour.Register("poll_loops", func() {
		behaviour.Every(200*time.Millisecond, func(int) {
			go func() { // leaks
				for {
					checks.Add(1)
					time.Sleep(time.Second) // stuck
				}
			}()
		})
	})
}
