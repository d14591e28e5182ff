package main

import (
	"context"
	"time"

	"leaktrace.test/targets/behaviour"
)

// Components that wait for the end of the program, and requests below them that end.
func init() {
	behaviour.Register("context_tree", func() {
		program, shutDown := context.WithCancel(context.Background())
		for component := 0; component < 6; component++ {
			go awaitShutdown(program)
		}
		behaviour.Every(100*time.Millisecond, func(int) {
			request, cancel := context.WithTimeout(program, time.Second)
			go serve(request, cancel)
		})
		time.AfterFunc(24*time.Hour, shutDown)
	})
}

func awaitShutdown(program context.Context) { <-program.Done() }

func serve(request context.Context, cancel context.CancelFunc) {
	defer cancel()
	<-request.Done()
}
