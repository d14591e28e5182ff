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
}

func watchConfig(int) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	watched := &config{changed: make(chan struct{})}
	go watched.follow(ctx, cancel)
}

func (c *config) follow(ctx context.Context, cancel context.CancelFunc) {
	defer cancel()
	for {
		select {
		case <-c.changed:
		case <-ctx.Done():
			return
		}
	}
}
