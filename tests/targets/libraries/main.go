// Command libraries uses real libraries, once with a bug that somebody reported and once as they are meant to be used.
//
// The libraries are not here: `cargo xtask score libraries` unpacks Debian's golang-*-dev packages and builds this
// program with them as its GOPATH. What is called `_leak` leaks, amid traffic that does not; what is called `_ok` must
// not be called a leak.
package main

import (
	"fmt"
	"net"
	"os"
	"time"

	"leaktrace.test/targets/behaviour"
)

func main() { behaviour.Main() }

// How often each program does its ordinary work, how often it leaks, and how often its clients come.
const (
	request = 100 * time.Millisecond
	leak    = 2 * time.Second
	arrival = 2 * time.Second
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func listen() net.Listener { return must(net.Listen("tcp", "127.0.0.1:0")) }

func temporary() string { return must(os.MkdirTemp("", "leaktrace-libraries-")) }

// clients starts `serve` for a new client every `arrival` until there are `most`; each stays as long as `serve` does.
func clients(most int, serve func(client int)) {
	go func() {
		for client := 0; client < most; client++ {
			go serve(client)
			time.Sleep(arrival)
		}
	}()
}

func complain(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}
