// Command parked parks as many goroutines as its argument says, in four ways and ten calls deep, and says so.
package main

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

var (
	parking  atomic.Int64
	never    = make(chan int)
	other    = make(chan int)
	lock     sync.Mutex
	notified = sync.NewCond(&sync.Mutex{})
)

func main() {
	count, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	lock.Lock()
	for i := 0; i < count; i += 4 {
		go handle(6, receive)
		go serve(6, selects)
		go consume(6, locks)
		go watch(6, waits)
	}
	for parking.Load() < int64(count) {
		time.Sleep(time.Millisecond)
	}
	// From counting to waiting it takes each of them a few instructions more.
	time.Sleep(300 * time.Millisecond)
	fmt.Println("READY")
	if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
		os.Exit(0)
	}
}

//go:noinline
func handle(depth int, wait func()) { descend(depth, wait) }

//go:noinline
func serve(depth int, wait func()) { descend(depth, wait) }

//go:noinline
func consume(depth int, wait func()) { descend(depth, wait) }

//go:noinline
func watch(depth int, wait func()) { descend(depth, wait) }

//go:noinline
func descend(depth int, wait func()) {
	if depth == 0 {
		parking.Add(1)
		wait()
		return
	}
	descend(depth-1, wait)
}

func receive() { <-never }

func selects() {
	select {
	case <-never:
	case <-other:
	}
}

func locks() { lock.Lock() }

func waits() {
	notified.L.Lock()
	notified.Wait()
}
