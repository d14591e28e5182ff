package main

import (
	"net/http"
	"time"

	"leaktrace.test/targets/behaviour"
)

// The mistake is ours, the goroutines are not.
//
// leaks: net/http.(*Transport).dialConn
func init() {
	behaviour.Register("http_bodies_never_closed", func() {
		address := behaviour.Backend()
		behaviour.Every(100*time.Millisecond, func(int) { ping(address) })
	})
}

// The mistake: the body is neither read to its end nor closed.
func ping(address string) bool {
	response, err := http.Get(address)
	return err == nil && response.StatusCode == http.StatusOK
}
