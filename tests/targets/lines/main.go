// Command lines leaks goroutines that the standard library starts for it, or that share what they wait for. Each function
// that kinds lists is one mistake, and has the line to mend.
package main

import (
	"fmt"
	"os"
	"sync"
	"time"

	"leaktrace.test/targets/control"
)

// Everything that leaks; other files add what older releases do not have.
var kinds = []func(){afterFunc, once, twoOnOneChannel}

func main() {
	if err := control.Settle(); err != nil {
		fmt.Fprintln(os.Stderr, "lines:", err)
		os.Exit(3)
	}
	go func() {
		for range time.Tick(250 * time.Millisecond) {
			for _, kind := range kinds {
				kind()
			}
		}
	}()
	control.Serve()
}

//go:noinline
func afterFunc() {
	time.AfterFunc(time.Millisecond, func() {
		<-make(chan int)
	})
}

//go:noinline
func once() {
	var once sync.Once
	once.Do(func() {
		go wait()
	})
}

func wait() { <-make(chan int) }

// One mistake, nobody receives, and two go statements that show it.
//
//go:noinline
func twoOnOneChannel() {
	answers := make(chan int)
	go send(answers, 1)
	go send(answers, 2)
}

func send(to chan int, value int) { to <- value }
