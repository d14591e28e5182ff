package main

import (
	"context"
	"time"

	"leaktrace.test/targets/behaviour"
)

// Nothing comes in here for days.
var rare = make(chan int)

// Workers that wait with their context at hand: of some it is not over, and others finish soon after it is. Some needed
// one for their set-up only.
func init() {
	behaviour.Register("contexts_at_hand", func() {
		program, shutDown := context.WithCancel(context.Background())
		for worker := 0; worker < 6; worker++ {
			go awaitResult(program, rare)
			go setUp(program)
		}
		behaviour.Every(100*time.Millisecond, func(int) {
			request, cancel := context.WithCancel(program)
			result := make(chan int)
			time.AfterFunc(3*time.Second, func() { result <- 1 })
			go awaitResult(request, result)
			cancel()
		})
		time.AfterFunc(24*time.Hour, func() { rare <- 1; shutDown() })
	})
}

func setUp(program context.Context) {
	connecting, cancel := context.WithTimeout(program, time.Second)
	defer cancel()
	report(connecting, 0)
	<-rare
}

func awaitResult(request context.Context, result <-chan int) {
	value := <-result
	report(request, value)
}

//go:noinline
func report(request context.Context, value int) {
	if request.Err() == nil && value != 0 {
		println(value)
	}
}
