// Command growing is an HTTP service that grows for a minute and leaks: each request starts a goroutine and waits for its
// answer, but one request in a thousand gives up, and that goroutine can then never send it. It prints its address.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go grow()
	fmt.Println(listener.Addr())
	panic(http.Serve(listener, http.HandlerFunc(answer)))
}

var requests atomic.Int64

func answer(writer http.ResponseWriter, _ *http.Request) {
	done := make(chan string)
	go func() { done <- "ok\n" }()
	answer := "ok\n"
	if requests.Add(1)%1000 != 0 {
		answer = <-done
	}
	// A client that went away has no use for the answer either.
	_, _ = io.WriteString(writer, answer)
}

// More workers each second until there are sixty, and three new subscribers a second, each of whom hears nothing and
// goes away after ten seconds to a minute: as many come as leak.
func grow() {
	work := make(chan int)
	for n := 0; ; n++ {
		if n < 180 && n%3 == 0 {
			go func() {
				for range work {
				}
			}()
		}
		go subscribe(time.Duration(10+n%50) * time.Second)
		work <- n
		time.Sleep(time.Second / 3)
	}
}

func subscribe(until time.Duration) {
	quiet := make(chan int)
	select {
	case <-quiet:
	case <-time.After(until):
	}
}
