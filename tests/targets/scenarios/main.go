// Command scenarios shows one behaviour of goroutines at a time, or several: `scenarios leak_chan_send=10 mutex=3`.
//
// Each scenario starts the given number of goroutines from a `go` statement of its own and counts them.
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"leaktrace.test/targets/control"
)

type scenario struct {
	start func(n int)
	// restless: its goroutines never all wait, so there is nothing to wait for before READY.
	restless bool
}

var scenarios = map[string]scenario{}

func register(name string, start func(n int)) { scenarios[name] = scenario{start: start} }

func registerRestless(name string, start func(n int)) { scenarios[name] = scenario{start, true} }

func main() {
	settles := true
	for _, argument := range os.Args[1:] {
		chosen := start(argument)
		settles = settles && !chosen.restless
	}
	if settles {
		if err := control.Settle(); err != nil {
			fmt.Fprintln(os.Stderr, "scenarios:", err)
			os.Exit(3)
		}
	}
	control.OnText("start", func(arguments string) {
		for _, argument := range strings.Fields(arguments) {
			start(argument)
		}
	})
	control.Serve()
}

// Runs `name=count`.
func start(argument string) scenario {
	name, count, _ := strings.Cut(argument, "=")
	chosen, known := scenarios[name]
	n, err := strconv.Atoi(count)
	if !known || err != nil {
		fmt.Fprintf(os.Stderr, "scenarios: no such scenario, or no count: %s\n", argument)
		os.Exit(2)
	}
	chosen.start(n)
	return chosen
}
