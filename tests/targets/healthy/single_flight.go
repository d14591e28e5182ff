package main

import (
	"sync"
	"time"

	"leaktrace.test/targets/behaviour"
)

type flight struct {
	landed sync.WaitGroup
}

// Many ask for the same thing, which takes eight seconds; one fetches it for all.
func init() {
	behaviour.Register("single_flight", func() {
		var lock sync.Mutex
		var current *flight
		behaviour.Every(100*time.Millisecond, func(n int) {
			lock.Lock()
			defer lock.Unlock()
			if n%100 == 0 {
				current = &flight{}
				current.landed.Add(1)
				go current.fly()
			}
			if n%100 < 70 {
				go current.await()
			}
		})
	})
}

func (f *flight) fly() {
	defer f.landed.Done()
	time.Sleep(8 * time.Second)
}

func (f *flight) await() { f.landed.Wait() }
