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

// The mistake: nobody makes the channel.
func subscribe(int) {
	subscribed := &subscription{}
	go subscribed.follow() // leaks
}

func (s *subscription) follow() {
	for range s.updates { // stuck
	}
}
