package main

import (
	"time"

	"leaktrace.test/targets/behaviour"
)

// Tasks that try again after one, two, four, eight and sixteen seconds, and then give up.
func init() {
	behaviour.Register("retries", func() {
		behaviour.Every(500*time.Millisecond, func(n int) { go try(n % 6) })
	})
}

func try(failures int) {
	for failure := 0; failure < failures; failure++ {
		time.Sleep(time.Second << failure)
	}
}
