//go:build cgo

package main

/*
#cgo CFLAGS: -fno-omit-frame-pointer -O1 -g -D_GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern void goCallback(int);

// As programs that put their code on huge pages do: copies it into anonymous memory and moves that over the file's
// mapping, before anything of Go runs.
static void __attribute__((constructor)) move_code(void) {
	if (!getenv("MOVE_CODE")) return;
	unsetenv("MOVE_CODE");
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512], permissions[8] = "";
	uintptr_t start = 0, end = 0;
	while (permissions[2] != 'x' && fgets(line, sizeof line, maps))
		sscanf(line, "%lx-%lx %7s", &start, &end, permissions);
	fclose(maps);
	size_t size = end - start;
	void *copy = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(copy, (void *)start, size);
	mprotect(copy, size, PROT_READ | PROT_EXEC);
	mremap(copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)start);
}

static void wait_in_c(void) { pause(); }

// A child that waits for a lock of a thread that it does not have ends by SIGALRM.
static int fork_in_c(void) {
	int child = fork();
	if (child == 0) {
		signal(SIGALRM, SIG_DFL);
		alarm(2);
	}
	return child;
}
static void __attribute__((noinline)) call_back(int fd) { goCallback(fd); }
*/
import "C"

import (
	"runtime"
	"syscall"

	"leaktrace.test/targets/control"
)

func init() {
	register("cgo_fork", cgoFork)
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

// `fork N` has C make children that go on as this program, as a fork server does. Each uses the `go` statement, and has finished
// if it ends as it should. Go does not support that: where another thread had a lock of the runtime in the moment of the fork,
// the child can wait for ever. Up to so many of these are made once more.
func cgoFork(int) {
	site := control.NewSite("cgo_fork")
	control.On("fork", func(count int) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for i, again := 0, count; i < count; i++ {
			status := forked()
			if status.Signaled() && status.Signal() == syscall.SIGALRM && again > 0 {
				i, again = i-1, again-1
				continue
			}
			site.Spawned()
			if status.Exited() && status.ExitStatus() == 0 {
				site.Finished()
			}
		}
	})
}

// How a child has ended that starts a goroutine and exits.
func forked() (status syscall.WaitStatus) {
	child := int(C.fork_in_c())
	if child == 0 {
		// There is no thread that would run it.
		go func() {}()
		syscall.Exit(0)
	}
	for {
		if _, err := syscall.Wait4(child, &status, 0, nil); err != syscall.EINTR {
			return status
		}
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
