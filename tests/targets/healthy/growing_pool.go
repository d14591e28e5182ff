package main

import (
	"time"

	"leaktrace.test/targets/behaviour"
)

// A pool that starts a worker whenever none is free, up to its size, as it warms up.
func init() {
	behaviour.Register("growing_pool", func() {
		jobs, workers := make(chan int), 0
		behaviour.Every(300*time.Millisecond, func(n int) {
			if workers < 64 {
				workers++
				go warmWorker(jobs)
			}
			select {
			case jobs <- n:
			default:
			}
		})
	})
}

func warmWorker(jobs <-chan int) {
	for range jobs {
		time.Sleep(time.Second)
	}
}
