package main

import (
	"time"

	"leaktrace.test/targets/behaviour"
)

// Three stages, of which the last gets something when thirty have come in.
func init() {
	behaviour.Register("pipeline", func() {
		lines, records, batches := make(chan int), make(chan int), make(chan []int)
		go split(lines, records)
		go collect(records, batches)
		go store(batches)
		behaviour.Every(time.Second, func(n int) { lines <- n })
	})
}

func split(lines <-chan int, records chan<- int) {
	for line := range lines {
		records <- line
		records <- -line
	}
}

func collect(records <-chan int, batches chan<- []int) {
	var batch []int
	for record := range records {
		batch = append(batch, record)
		if len(batch) == 60 {
			batches <- batch
			batch = nil
		}
	}
}

func store(batches <-chan []int) {
	for range batches {
	}
}
