package main

import (
	"time"

	"leaktrace.test/targets/behaviour"
)

// Results that are computed ahead, and fetched when somebody wants them: each has its goroutine that waits to be asked.
func init() {
	behaviour.Register("futures", func() {
		var ahead []<-chan int
		behaviour.Every(100*time.Millisecond, func(n int) {
			if len(ahead) < 40 {
				ahead = append(ahead, compute(n))
				return
			}
			if n%3 == 0 {
				<-ahead[0]
				ahead = ahead[1:]
			}
		})
	})
}

func compute(n int) <-chan int {
	result := make(chan int)
	go func() { result <- n * n }()
	return result
}
