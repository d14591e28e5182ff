package main

import (
	"time"

	"leaktrace.test/targets/behaviour"
)

// Three hundred at once, of which ten a second come to an end; and again.
func init() {
	behaviour.Register("burst", func() {
		slots := make(chan struct{})
		behaviour.Every(100*time.Millisecond, func(n int) {
			if n%600 == 50 {
				for job := 0; job < 300; job++ {
					go func() { <-slots }()
				}
			}
			select {
			case slots <- struct{}{}:
			default:
			}
		})
	})
}
