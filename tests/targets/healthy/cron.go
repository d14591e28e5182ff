package main

import (
	"time"

	"leaktrace.test/targets/behaviour"
)

// A few that sleep until it is their time, which is not today.
func init() {
	behaviour.Register("cron", func() {
		for job := 1; job <= 6; job++ {
			go daily(time.Duration(job) * time.Hour)
		}
		behaviour.Every(time.Second, func(int) { go func() { time.Sleep(50 * time.Millisecond) }() })
	})
}

func daily(at time.Duration) {
	for {
		time.Sleep(at)
		at = 24 * time.Hour
	}
}
