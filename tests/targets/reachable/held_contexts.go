package main

import (
	"context"
	"time"

	"leaktrace.test/targets/behaviour"
)

var cancels []context.CancelFunc

// The functions that would cancel are kept for later, and there is no later.
func init() {
	behaviour.Register("held_contexts", func() {
		behaviour.Every(200*time.Millisecond, func(int) {
			ctx, cancel := context.WithCancel(context.Background())
			cancels = append(cancels, cancel)
			go func() { // leaks
				<-ctx.Done() // stuck
			}()
		})
	})
}
