package main

import (
	"time"

	"leaktrace.test/targets/behaviour"
)

// Each order leaves somebody behind who looks again in an hour.
func init() {
	behaviour.Register("sleepers", func() {
		behaviour.Every(100*time.Millisecond, func(int) {
			go func() { // leaks
				time.Sleep(time.Hour) // stuck
			}()
		})
	})
}
