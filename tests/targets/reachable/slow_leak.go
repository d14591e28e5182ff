package main

import (
	"sync"
	"time"

	"leaktrace.test/targets/behaviour"
)

var (
	strandedLock sync.Mutex
	stranded     []chan int
)

// Of two hundred and fifty in five seconds, one stays; the others are done in a moment.
func init() {
	behaviour.Register("slow_leak", func() {
		behaviour.Every(20*time.Millisecond, func(n int) {
			answer := make(chan int, 1)
			if n%250 == 0 {
				strandedLock.Lock()
				stranded = append(stranded, answer)
				strandedLock.Unlock()
			} else {
				answer <- n
			}
			go func() { // leaks
				<-answer // stuck
			}()
		})
	})
}
