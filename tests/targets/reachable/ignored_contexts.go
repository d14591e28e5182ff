package main

import (
	"context"
	"time"

	"leaktrace.test/targets/behaviour"
)

var wanted = make(chan string)

// Goroutines are handed the context of a request and wait for what never comes, long after the request is over.
func init() {
	behaviour.Register("ignored_contexts", func() {
		behaviour.Every(200*time.Millisecond, func(n int) {
			request, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			if n%2 == 0 {
				cancel()
			}
			go serveLate(request) // leaks
		})
	})
}

func serveLate(request context.Context) {
	value := <-wanted // stuck
	answer(request, value)
}

//go:noinline
func answer(request context.Context, value string) {
	if request.Err() == nil {
		println(value)
	}
}
