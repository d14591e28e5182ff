package main

import (
	"time"

	"leaktrace.test/targets/behaviour"
)

type cache struct {
	entries map[int]int
	closed  chan struct{}
}

// A cache, meant to live as long as the program, is made for every request.
func init() {
	behaviour.Register("janitor_per_request", func() {
		behaviour.Every(200*time.Millisecond, func(n int) { newCache().entries[n] = n })
	})
}

func newCache() *cache {
	made := &cache{entries: map[int]int{}, closed: make(chan struct{})}
	go made.clearOut() // leaks
	return made
}

func (c *cache) clearOut() {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select { // stuck
		case <-ticker.C:
		case <-c.closed:
			return
		}
	}
}
