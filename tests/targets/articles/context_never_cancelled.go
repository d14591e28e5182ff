package main

import (
	"context"
	"time"

	"leaktrace.test/targets/behaviour"
)

func init() {
	behaviour.Register("context_never_cancelled", func() { behaviour.Every(100*time.Millisecond, watchConfig) })
}

type config struct {
	changed chan struct{}
	cancel  context.CancelFunc
}

// The mistake: nobody calls `cancel` when the watch is not needed any more.
func watchConfig(int) {
	ctx, cancel := context.WithCancel(context.Background())
	watched := &config{changed: make(chan struct{}), cancel: cancel}
	go watched.follow(ctx) // leaks
}

func (c *config) follow(ctx context.Context) {
	for {
		select { // stuck
		case <-c.changed:
		case <-ctx.Done():
			return
		}
	}
}
