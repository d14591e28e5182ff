package main

import (
	"fmt"
	"io"
	"net/http"

	"leaktrace.test/targets/behaviour"
)

func httpServer(handler http.HandlerFunc) string {
	listener := listen()
	go func() { check(http.Serve(listener, handler)) }()
	return "http://" + listener.Addr().String()
}

func hello(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") }

func httpGet(client *http.Client, url string) {
	response := must(client.Get(url))
	defer response.Body.Close()
	_, err := io.Copy(io.Discard, response.Body)
	complain(err)
}

// A transport per call, whose idle connections nobody closes: choria-io/go-choria#198, golang/go#19620.
//
// leaks: net/http.(*Transport).dialConn
// leaks: net/http.(*Server).Serve
func init() {
	behaviour.Register("http_transport_leak", func() {
		url := httpServer(hello)
		behaviour.Every(request, func(int) { httpGet(http.DefaultClient, url) })
		behaviour.Every(leak, func(int) {
			client := &http.Client{Transport: &http.Transport{}}
			httpGet(client, url) // from
		})
	})
}
