package main

import (
	"sync"
	"time"

	"leaktrace.test/targets/behaviour"
)

var (
	handlersLock sync.Mutex
	handlers     []chan int
)

// Each page view registers a handler of events; none is ever taken back.
func init() {
	behaviour.Register("growing_handlers", func() {
		behaviour.Every(200*time.Millisecond, func(int) { onEvent() })
		behaviour.Every(3*time.Second, publish)
	})
}

func onEvent() {
	events := make(chan int, 1)
	handlersLock.Lock()
	defer handlersLock.Unlock()
	handlers = append(handlers, events)
	go func() { // leaks
		for range events { // stuck
		}
	}()
}

func publish(event int) {
	handlersLock.Lock()
	defer handlersLock.Unlock()
	for _, handler := range handlers {
		handler <- event
	}
}
