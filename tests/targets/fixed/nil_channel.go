package main

import (
	"time"

	"leaktrace.test/targets/behaviour"
)

func init() {
	behaviour.Register("nil_channel", func() { behaviour.Every(100*time.Millisecond, subscribe) })
}

type subscription struct {
	updates chan int
}

func subscribe(n int) {
	subscribed := &subscription{updates: make(chan int)}
	go subscribed.follow()
	time.AfterFunc(time.Second, func() {
		subscribed.updates <- n
		close(subscribed.updates)
	})
}

func (s *subscription) follow() {
	for range s.updates {
	}
}
