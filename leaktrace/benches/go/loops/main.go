// Command loops runs the loop that a line on stdin names for so many milliseconds, and answers with how often it went
// round, the processor time of the process and the time on the clock, both in nanoseconds.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

var loops = map[string]func(){"spawn": spawn, "pingpong": pingpong, "mix": mix}

// How often a loop goes round between two looks at the clock.
const chunk = 100

func main() {
	go echo()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var name string
		var milliseconds int
		if _, err := fmt.Sscan(lines.Text(), &name, &milliseconds); err != nil || loops[name] == nil {
			fmt.Fprintln(os.Stderr, "loops: not a loop and a time:", lines.Text())
			os.Exit(2)
		}
		run(loops[name], time.Duration(milliseconds)*time.Millisecond)
	}
}

func run(loop func(), length time.Duration) {
	loop()
	rounds, began, used := 0, time.Now(), processorTime()
	for time.Since(began) < length {
		loop()
		rounds += chunk
	}
	fmt.Println(rounds, processorTime()-used, time.Since(began).Nanoseconds())
}

func processorTime() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

var ended atomic.Int64

func spawn() {
	ended.Store(0)
	for i := 0; i < chunk; i++ {
		go end()
	}
	for ended.Load() < chunk {
		runtime.Gosched()
	}
}

func end() { ended.Add(1) }

var ping, pong = make(chan int), make(chan int)

func echo() {
	for value := range ping {
		pong <- value
	}
}

func pingpong() {
	for i := 0; i < chunk; i++ {
		ping <- i
		<-pong
	}
}

var work = make(chan int)

// A goroutine is born, waits, is woken and ends.
func mix() {
	ended.Store(0)
	for i := 0; i < chunk; i++ {
		go worker()
	}
	runtime.Gosched()
	for i := 0; i < chunk; i++ {
		work <- i
	}
	for ended.Load() < chunk {
		runtime.Gosched()
	}
}

func worker() {
	<-work
	ended.Add(1)
}
