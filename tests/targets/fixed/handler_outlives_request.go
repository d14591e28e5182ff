package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"leaktrace.test/targets/behaviour"
)

func init() {
	behaviour.Register("handler_outlives_request", func() {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		go func() { _ = http.Serve(listener, http.HandlerFunc(upload)) }()
		address := "http://" + listener.Addr().String()
		behaviour.Every(100*time.Millisecond, func(int) { get(address) })
	})
}

// What the request started outlives it here too, but not for long.
func upload(w http.ResponseWriter, _ *http.Request) {
	scanned := make(chan string, 1)
	time.AfterFunc(time.Second, func() { scanned <- "at once" })
	go func() {
		fmt.Fprintln(io.Discard, <-scanned)
	}()
	fmt.Fprintln(w, "accepted")
}

func get(address string) {
	response, err := http.Get(address)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
}
