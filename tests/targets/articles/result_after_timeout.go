package main

import (
	"time"

	"leaktrace.test/targets/behaviour"
)

func init() {
	behaviour.Register("result_after_timeout", func() { behaviour.Every(50*time.Millisecond, quote) })
}

// The mistake: `answer` has no buffer, so an answer that comes after the timeout can never be sent.
func quote(n int) {
	answer := make(chan int)
	go func() { // leaks
		if n%4 == 0 {
			time.Sleep(30 * time.Millisecond)
		}
		answer <- n // stuck
	}()
	select {
	case <-answer:
	case <-time.After(10 * time.Millisecond):
	}
}
