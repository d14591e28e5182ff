// Command server answers HTTP requests, each by way of a goroutine of its own, and prints its address.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr())
	panic(http.Serve(listener, http.HandlerFunc(answer)))
}

func answer(writer http.ResponseWriter, _ *http.Request) {
	done := make(chan string)
	go func() { done <- "ok\n" }()
	// A client that went away has no use for the answer either.
	_, _ = io.WriteString(writer, <-done)
}
