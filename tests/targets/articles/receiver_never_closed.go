package main

import (
	"time"

	"leaktrace.test/targets/behaviour"
)

func init() {
	behaviour.Register("receiver_never_closed", func() { behaviour.Every(100*time.Millisecond, report) })
}

// The mistake: `lines` is not closed when the last one has been sent.
func report(int) {
	lines := make(chan int)
	go func() { // leaks
		for range lines { // stuck
		}
	}()
	for line := 0; line < 3; line++ {
		lines <- line
	}
}
