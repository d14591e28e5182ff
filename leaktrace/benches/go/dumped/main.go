// Command dumped parks as many goroutines as its argument says, each ten calls deep, and serves /debug/pprof. A
// thread measures how late it is: to a line on stdin the program answers with the worst lateness since the last one,
// in nanoseconds.
package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

var (
	parking atomic.Int64
	worst   atomic.Int64
	never   = make(chan int)
	other   = make(chan int)
)

func main() {
	count, err := strconv.ParseInt(os.Args[1], 10, 64)
	if err != nil {
		panic(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go http.Serve(listener, nil)
	for i := int64(0); i < count; i += 2 {
		go handle(6, receive)
		go handle(6, selects)
	}
	for parking.Load() < count {
		time.Sleep(time.Millisecond)
	}
	go tick()
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for stdin := bufio.NewScanner(os.Stdin); stdin.Scan(); {
		fmt.Println(worst.Swap(0))
	}
}

// tick sleeps again and again, and notes how much longer that took than it should. It sleeps in the kernel without the
// scheduler's knowledge, whose own timers are late by a millisecond where nothing else is to be done.
func tick() {
	const pause = 100 * time.Microsecond
	runtime.LockOSThread()
	syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_TIMERSLACK, 1, 0)
	for {
		started := time.Now()
		left := syscall.NsecToTimespec(int64(pause))
		syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&left)), 0, 0)
		late := int64(time.Since(started) - pause)
		for {
			known := worst.Load()
			if late <= known || worst.CompareAndSwap(known, late) {
				break
			}
		}
	}
}

//go:noinline
func handle(depth int, wait func()) {
	if depth == 0 {
		parking.Add(1)
		wait()
		return
	}
	handle(depth-1, wait)
}

func receive() { <-never }

func selects() {
	select {
	case <-never:
	case <-other:
	}
}
