package main

import (
	"sync"
	"time"

	"leaktrace.test/targets/behaviour"
)

var (
	pendingLock sync.Mutex
	pending     = map[int]chan int{}
)

// Calls wait in a map for their answer; every fifth answer never comes.
func init() {
	behaviour.Register("map_held_channels", func() {
		behaviour.Every(50*time.Millisecond, func(n int) {
			answer := make(chan int)
			pendingLock.Lock()
			pending[n] = answer
			pendingLock.Unlock()
			go call(answer) // leaks
			if n%5 != 0 {
				time.AfterFunc(20*time.Millisecond, func() { respond(n) })
			}
		})
	})
}

func call(answer <-chan int) {
	<-answer // stuck
}

func respond(n int) {
	pendingLock.Lock()
	defer pendingLock.Unlock()
	pending[n] <- n
	delete(pending, n)
}
