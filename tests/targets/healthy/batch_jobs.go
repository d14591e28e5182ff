package main

import (
	"sync"
	"time"

	"leaktrace.test/targets/behaviour"
)

// A coordinator waits for its parts, of which the slowest take most of a minute.
func init() {
	behaviour.Register("batch_jobs", func() {
		behaviour.Every(20*time.Second, func(int) { go coordinate() })
		go coordinate()
	})
}

func coordinate() {
	var parts sync.WaitGroup
	for part := 0; part < 12; part++ {
		parts.Add(1)
		go func(part int) {
			defer parts.Done()
			time.Sleep(time.Duration(part*4) * time.Second)
		}(part)
	}
	parts.Wait()
}
