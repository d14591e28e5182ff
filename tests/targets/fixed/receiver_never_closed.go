package main

import (
	"time"

	"leaktrace.test/targets/behaviour"
)

func init() {
	behaviour.Register("receiver_never_closed", func() { behaviour.Every(100*time.Millisecond, report) })
}

func report(int) {
	lines := make(chan int)
	defer close(lines)
	go func() {
		for range lines {
		}
	}()
	for line := 0; line < 3; line++ {
		lines <- line
	}
}
