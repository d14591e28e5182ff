package main

import (
	"sync"
	"time"

	"leaktrace.test/targets/behaviour"
)

var background sync.WaitGroup

// One Add too many, and everybody who waits for quiet waits for ever.
func init() {
	behaviour.Register("global_waitgroup", func() {
		background.Add(1)
		behaviour.Every(200*time.Millisecond, func(int) {
			go flush() // leaks
		})
	})
}

func flush() {
	background.Wait() // stuck
}
