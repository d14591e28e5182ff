package main

import (
	"sync"
	"time"

	"leaktrace.test/targets/behaviour"
)

// One request sends while it holds the lock that all others need, and nobody receives.
func init() {
	behaviour.Register("held_while_sending", func() {
		shared := &inventory{updates: make(chan int)}
		behaviour.Every(100*time.Millisecond, func(n int) {
			go shared.refresh(n) // leaks
		})
	})
}

type inventory struct {
	lock    sync.RWMutex
	updates chan int
}

func (c *inventory) refresh(n int) {
	c.lock.Lock() // stuck
	defer c.lock.Unlock()
	c.updates <- n
}
