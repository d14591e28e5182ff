package main

import (
	"sync"
	"time"

	"leaktrace.test/targets/behaviour"
)

type cache struct {
	lock    sync.Mutex
	entries map[int]time.Time
	closed  chan struct{}
}

// Caches that live as long as the program, each with a goroutine that clears out what is old.
func init() {
	behaviour.Register("cache_janitors", func() {
		caches := make([]*cache, 20)
		for i := range caches {
			caches[i] = &cache{entries: map[int]time.Time{}, closed: make(chan struct{})}
			go caches[i].clearOut()
		}
		behaviour.Every(50*time.Millisecond, func(n int) { caches[n%len(caches)].put(n) })
	})
}

func (c *cache) put(key int) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.entries[key] = time.Now()
}

func (c *cache) clearOut() {
	ticker := time.NewTicker(4 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			c.forget(time.Now().Add(-2 * time.Second))
		case <-c.closed:
			return
		}
	}
}

func (c *cache) forget(before time.Time) {
	c.lock.Lock()
	defer c.lock.Unlock()
	for key, stored := range c.entries {
		if stored.Before(before) {
			delete(c.entries, key)
		}
	}
}
