package main

import (
	"io"
	"net/http"
	"time"

	"leaktrace.test/targets/behaviour"
)

func init() {
	behaviour.Register("http_bodies_never_closed", func() {
		address := behaviour.Backend()
		behaviour.Every(100*time.Millisecond, func(int) { ping(address) })
	})
}

func ping(address string) bool {
	response, err := http.Get(address)
	if err != nil {
		return false
	}
	defer func() { _ = response.Body.Close() }()
	_, err = io.Copy(io.Discard, response.Body)
	return err == nil && response.StatusCode == http.StatusOK
}
