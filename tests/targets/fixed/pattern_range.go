package main

import (
	"time"

	"leaktrace.test/targets/behaviour"
)

func init() {
	behaviour.Register("pattern_range", func() {
		behaviour.Every(200*time.Millisecond, func(n int) { go share(make([]int, n%5), 3) })
	})
}

func share(items []int, workers int) {
	work := make(chan int)
	for worker := 0; worker < workers; worker++ {
		go func() {
			for range work {
				time.Sleep(10 * time.Millisecond)
			}
		}()
	}
	for _, item := range items {
		work <- item
	}
	close(work)
}
