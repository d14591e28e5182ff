package main

import (
	"context"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/client"
	"leaktrace.test/targets/behaviour"
)

// One stream of events for the life of the program, some that are cancelled, and a client for each of a few hosts.
func init() {
	behaviour.Register("docker_events_ok", func() {
		url := dockerDaemon()
		daemon := dockerClient(url)
		behaviour.Every(request, func(int) { dockerPing(daemon) })
		behaviour.Every(arrival, func(n int) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(10+n%40)*time.Second)
			go followEvents(ctx, cancel, daemon)
		})
		clients(40, func(int) {
			ctx, cancel := context.WithCancel(context.Background())
			followEvents(ctx, cancel, dockerClient(url))
		})
	})
}

func followEvents(ctx context.Context, cancel context.CancelFunc, daemon *client.Client) {
	defer cancel()
	messages, errs := daemon.Events(ctx, types.EventsOptions{})
	for {
		select {
		case <-messages:
		case <-errs:
			return
		}
	}
}
