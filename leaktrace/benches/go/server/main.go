// Command server answers HTTP requests, each by way of a goroutine of its own, and prints its address. With -leak it leaks beside.
package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

func main() {
	leaks := flag.Bool("leak", false, "leave a goroutine behind each second")
	flag.Parse()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	if *leaks {
		go leak()
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

// All wait for a lock that nobody frees, which is suspected within a minute.
func leak() {
	var held sync.Mutex
	held.Lock()
	for range time.Tick(time.Second) {
		go func() { held.Lock() }()
	}
}
