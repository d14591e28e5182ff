// Command ends starts so many goroutines that wait for ever, copies its input to its output, and exits with a code:
// ends COUNT CODE. SIGUSR1 makes it exit with 41.
package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"syscall"
)

var never = make(chan struct{})

func init() {
	go early()
}

func early() {
	<-never
}

func main() {
	count, _ := strconv.Atoi(os.Args[1])
	code, _ := strconv.Atoi(os.Args[2])
	leave(count)
	tidy()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	go func() {
		<-signals
		os.Exit(41)
	}()
	fmt.Fprintln(os.Stderr, "ready")
	io.Copy(os.Stdout, os.Stdin)
	fmt.Println(runtime.NumGoroutine())
	os.Exit(code)
}

func leave(count int) {
	for i := 0; i < count; i++ {
		go early()
	}
}

// Returns when all that it starts have ended: some are still about to when they are done.
func tidy() {
	before := runtime.NumGoroutine()
	var all sync.WaitGroup
	for i := 0; i < 100; i++ {
		all.Add(1)
		go all.Done()
	}
	all.Wait()
	for runtime.NumGoroutine() > before {
		runtime.Gosched()
	}
}
