package main

import (
	"io"
	"net/http"
	"sync"
	"time"

	"leaktrace.test/targets/behaviour"
)

// Idle connections, kept for the next request: now many at once, then one in a while.
func init() {
	behaviour.Register("keep_alive", func() {
		address := behaviour.Backend()
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 20}}
		var first sync.WaitGroup
		for request := 0; request < 20; request++ {
			first.Add(1)
			go func() {
				defer first.Done()
				fetch(client, address)
			}()
		}
		first.Wait()
		behaviour.Every(3*time.Second, func(int) { fetch(client, address) })
	})
}

func fetch(client *http.Client, address string) {
	response, err := client.Get(address)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
}
