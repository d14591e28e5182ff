package main

import (
	"time"

	"leaktrace.test/targets/behaviour"
)

var slots = make(chan struct{}, 6)

// Every tenth job forgets to give its slot back; after six of them nobody gets in any more.
func init() {
	behaviour.Register("lost_slots", func() {
		behaviour.Every(50*time.Millisecond, func(n int) {
			go job(n) // leaks
		})
	})
}

func job(n int) {
	slots <- struct{}{} // stuck
	if n%10 == 0 {
		return
	}
	<-slots
}
