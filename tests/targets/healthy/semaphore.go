package main

import (
	"time"

	"leaktrace.test/targets/behaviour"
)

// More want in than fit, but everybody gets in.
func init() {
	behaviour.Register("semaphore", func() {
		slots := make(chan struct{}, 4)
		behaviour.Every(5*time.Second, func(int) {
			for job := 0; job < 30; job++ {
				go enter(slots)
			}
		})
	})
}

func enter(slots chan struct{}) {
	slots <- struct{}{}
	defer func() { <-slots }()
	time.Sleep(500 * time.Millisecond)
}
