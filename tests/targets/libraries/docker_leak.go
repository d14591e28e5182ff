package main

import (
	"context"

	"github.com/docker/docker/api/types"
	"leaktrace.test/targets/behaviour"
)

// A stream of events per container whose context nobody cancels; its reader has gone: amir20/dozzle#4673.
//
// leaks: github.com/docker/docker/client.(*Client).Events
// leaks: net/http.(*Transport).dialConn
// leaks: net/http.(*Server).Serve
func init() {
	behaviour.Register("docker_events_leak", func() {
		daemon := dockerClient(dockerDaemon())
		behaviour.Every(request, func(int) { dockerPing(daemon) })
		behaviour.Every(leak, func(int) {
			messages, _ := daemon.Events(context.Background(), types.EventsOptions{}) // from
			<-messages
		})
	})
}
