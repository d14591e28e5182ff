package main

import (
	"time"

	"leaktrace.test/targets/behaviour"
)

func init() {
	behaviour.Register("worker_pool", func() {
		jobs := pool(8)
		behaviour.Every(20*time.Millisecond, func(n int) { jobs <- n })
	})
	behaviour.Register("idle_worker_pool", func() {
		jobs := pool(8)
		behaviour.Every(2*time.Minute, func(n int) { jobs <- n })
	})
}

func pool(workers int) chan<- int {
	jobs := make(chan int)
	for worker := 0; worker < workers; worker++ {
		go work(jobs)
	}
	return jobs
}

func work(jobs <-chan int) {
	for range jobs {
		time.Sleep(30 * time.Millisecond)
	}
}
