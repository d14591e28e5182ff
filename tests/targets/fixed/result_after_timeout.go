package main

import (
	"time"

	"leaktrace.test/targets/behaviour"
)

func init() {
	behaviour.Register("result_after_timeout", func() { behaviour.Every(50*time.Millisecond, quote) })
}

func quote(n int) {
	answer := make(chan int, 1)
	go func() {
		if n%4 == 0 {
			time.Sleep(30 * time.Millisecond)
		}
		answer <- n
	}()
	select {
	case <-answer:
	case <-time.After(10 * time.Millisecond):
	}
}
