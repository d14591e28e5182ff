//go:build cgo

package main

/*
#cgo CFLAGS: -fno-omit-frame-pointer -O1 -g
#include <unistd.h>

extern void goCallback(int);

static void wait_in_c(void) { pause(); }
static void __attribute__((noinline)) call_back(int fd) { goCallback(fd); }
*/
import "C"

import "leaktrace.test/targets/control"

func init() {
	register("cgo_call", cgoCall)
	register("cgo_callback", cgoCallback)
	register("cgo_creator", cgoCreator)
}

// Blocks in C: the goroutine shows as "syscall", its thread is in pause(2).
func cgoCall(n int) {
	site := control.NewSite("cgo_call")
	for i := 0; i < n; i++ {
		site.Spawned()
		go func() {
			defer site.Finished()
			C.wait_in_c()
		}()
	}
}

var neverCalledBack = make(chan int)

// Go, C and Go again on one stack.
func cgoCallback(n int) {
	site := control.NewSite("cgo_callback")
	for i := 0; i < n; i++ {
		site.Spawned()
		go func() {
			defer site.Finished()
			C.call_back(waits)
		}()
	}
}

// C code between a `go` statement and the Go code that led there.
func cgoCreator(n int) {
	for i := 0; i < n; i++ {
		C.call_back(starts)
	}
}

const (
	waits  = 1
	starts = 2
)

//export goCallback
func goCallback(what C.int) {
	if what == starts {
		startedBelowC()
		return
	}
	<-neverCalledBack
}

func startedBelowC() {
	site := control.NewSite("cgo_creator")
	site.Spawned()
	go func() {
		defer site.Finished()
		<-neverCalledBack
	}()
}
