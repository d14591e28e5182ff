package main

import (
	"sync"
	"time"

	"leaktrace.test/targets/behaviour"
)

// A service that grows: 3,000 requests a second, ever more workers and subscribers. One request in a thousand times
// out, and its caller forgets to take it out of the map of calls.
func init() {
	behaviour.Register("one_in_a_thousand", func() {
		backend := make(chan int, 64)
		growPool(backend)
		behaviour.Every(150*time.Millisecond, subscribe)
		// Timers are late on busy machines: a tick stands for as many requests as are due.
		began, asked := time.Now(), 0
		behaviour.Every(5*time.Millisecond, func(int) {
			for due := int(time.Since(began).Milliseconds()) * 3; asked < due; asked++ {
				go handle(backend, asked)
			}
		})
	})
}

var calls sync.Map

func handle(backend chan<- int, n int) {
	answer := make(chan int)
	calls.Store(n, answer)
	done := make(chan struct{})
	go func() { // leaks
		<-answer // stuck
		close(done)
	}()
	backend <- n
	if n%1000 == 999 {
		// The timeout.
		return
	}
	<-done
	calls.Delete(n)
}

// Two workers at first, one more each second, and sixty in the end.
func growPool(backend <-chan int) {
	behaviour.Every(time.Second, func(n int) {
		if n < 60 {
			go work(backend)
		}
	})
	go work(backend)
	go work(backend)
}

func work(backend <-chan int) {
	for n := range backend {
		if n%1000 == 999 {
			continue
		}
		answer, _ := calls.Load(n)
		answer.(chan int) <- n
	}
}

// Subscribers hear nothing and go away after ten seconds to a minute, so that they become more for a minute.
func subscribe(n int) {
	quiet := make(chan int)
	go func() {
		select {
		case <-quiet:
		case <-time.After(time.Duration(10+n%50) * time.Second):
		}
	}()
}
