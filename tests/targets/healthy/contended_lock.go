package main

import (
	"sync"
	"time"

	"leaktrace.test/targets/behaviour"
)

// A lock that is held for long, and for which there is always a queue; but it moves.
func init() {
	behaviour.Register("contended_lock", func() {
		var lock sync.Mutex
		behaviour.Every(4*time.Second, func(int) {
			for user := 0; user < 15; user++ {
				go use(&lock)
			}
		})
	})
}

func use(lock *sync.Mutex) {
	lock.Lock()
	defer lock.Unlock()
	time.Sleep(200 * time.Millisecond)
}
