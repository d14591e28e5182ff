package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/docker/docker/client"
)

// dockerDaemon answers pings, and streams an event now and then.
func dockerDaemon() string {
	return httpServer(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/events") {
			fmt.Fprint(w, "OK")
			return
		}
		for {
			complain(json.NewEncoder(w).Encode(map[string]string{"Type": "container", "Action": "start"}))
			w.(http.Flusher).Flush()
			select {
			case <-time.After(10 * time.Second):
			case <-r.Context().Done():
				return
			}
		}
	})
}

func dockerClient(url string) *client.Client {
	return must(client.NewClientWithOpts(client.WithHost(strings.Replace(url, "http", "tcp", 1)), client.WithVersion("1.41")))
}

func dockerPing(daemon *client.Client) {
	_, err := daemon.Ping(context.Background())
	complain(err)
}
