package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"leaktrace.test/targets/behaviour"
)

// Requests that wait for news or for twenty seconds, and come again.
func init() {
	behaviour.Register("long_polls", func() {
		news := make(chan string)
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		go func() { _ = http.Serve(listener, poll(news)) }()
		for client := 0; client < 15; client++ {
			go pollForever("http://" + listener.Addr().String())
		}
		behaviour.Every(5*time.Second, func(int) { news <- "something" })
	})
}

func poll(news <-chan string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case one := <-news:
			fmt.Fprintln(w, one)
		case <-time.After(20 * time.Second):
			w.WriteHeader(http.StatusNoContent)
		case <-r.Context().Done():
		}
	}
}

func pollForever(address string) {
	for {
		response, err := http.Get(address)
		if err != nil {
			time.Sleep(time.Second)
			continue
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
}
