// Command stuck has goroutines that wait for ever, because nothing that can run refers to what they wait on, beside
// others that look the same and can be woken: the functions of the former are called leaked…, of the latter live….
package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"

	"leaktrace.test/targets/control"
)

// How many goroutines of each kind there are.
const each = 3

// Everything that starts leaked or live goroutines; other files add what older releases do not have.
var kinds []func()

func main() {
	kinds = append(kinds, leakedKinds...)
	kinds = append(kinds, liveKinds...)
	for _, kind := range kinds {
		for i := 0; i < each; i++ {
			kind()
		}
	}
	onMainsStack := make(chan int)
	go liveOnMainsStack(onMainsStack)
	overwriteStack(64)
	if err := control.Settle(); err != nil {
		fmt.Fprintln(os.Stderr, "stuck:", err)
		os.Exit(3)
	}
	for i := 0; i < 3; i++ {
		runtime.GC()
	}
	control.OnStacks("leakprofile", leakProfile)
	control.Serve()
	onMainsStack <- 1
}

// The runtime's own answer, where it has one: all goroutines, the leaked ones marked.
func leakProfile() string {
	profile := pprof.Lookup("goroutineleak")
	if profile == nil {
		return ""
	}
	var text bytes.Buffer
	if err := profile.WriteTo(&text, 2); err != nil {
		return err.Error()
	}
	return text.String()
}

// Nothing that was called before leaves its words on the stack of main.
//
//go:noinline
func overwriteStack(depth int) int {
	var room [64]int
	if depth > 0 {
		room[depth%64] = overwriteStack(depth - 1)
	}
	return room[(depth+1)%64]
}
