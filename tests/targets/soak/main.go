// Command soak works without pause and verifies every result: `soak spawn=2 pingpong=2 sites=1 stacks=1 http=1 quiet=100
// rest=1000`.
//
// Whoever harms it (code, registers, stacks, memory) makes a result wrong: it says so on stderr and ends with status 9.
// The site "verified" counts the results that were right. `rest` is the pause after each piece of work in microseconds;
// with `for=MILLISECONDS` it ends by itself after that time instead of answering questions.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"leaktrace.test/targets/control"
)

const statusWrong = 9

var (
	verified = control.NewSite("verified")
	rest     time.Duration
)

// What one worker does again and again with a seed that is new each time.
var works = map[string]func(n int) func(seed uint64){
	"spawn":    many(spawn),
	"pingpong": pingpong,
	"sites":    many(sites),
	"stacks":   many(stacks),
	"http":     http,
	"quiet":    quiet,
}

func main() {
	var ends time.Duration
	numbers := map[string]int{}
	var names []string
	for _, argument := range os.Args[1:] {
		name, text, _ := strings.Cut(argument, "=")
		n, err := strconv.Atoi(text)
		if err != nil {
			fmt.Fprintln(os.Stderr, "soak: no number:", argument)
			os.Exit(2)
		}
		numbers[name] = n
		names = append(names, name)
	}
	rest = time.Duration(numbers["rest"]) * time.Microsecond
	ends = time.Duration(numbers["for"]) * time.Millisecond
	for _, name := range names {
		if work, known := works[name]; known {
			begin(work, name, numbers[name])
		}
	}
	if ends > 0 {
		time.Sleep(ends)
		return
	}
	control.On("exec", func(int) {
		self, err := os.Executable()
		if err != nil {
			panic(err)
		}
		panic(syscall.Exec(self, os.Args, os.Environ()))
	})
	control.On("exit", os.Exit)
	control.Serve()
}

func begin(prepare func(n int) func(seed uint64), name string, n int) {
	workers := n
	if name == "quiet" {
		// One asks them all.
		workers = 1
	}
	for i := 0; i < workers; i++ {
		go func(seed uint64, work func(seed uint64)) {
			for {
				seed = next(seed)
				work(seed)
				if rest > 0 {
					time.Sleep(rest)
				}
			}
		}(uint64(len(name)*1000+i), prepare(n))
	}
}

func many(work func(seed uint64)) func(n int) func(seed uint64) {
	return func(int) func(seed uint64) { return work }
}

func next(seed uint64) uint64 { return seed*6364136223846793005 + 1442695040888963407 }

// What a piece of work results in, whoever computes it.
func digest(seed uint64, rounds int) uint64 {
	sum := uint64(14695981039346656037)
	for i := 0; i < rounds; i++ {
		seed = next(seed)
		sum = (sum ^ seed>>17) * 1099511628211
	}
	return sum
}

func verify(what string, got, want uint64) {
	if got != want {
		fmt.Fprintf(os.Stderr, "soak: wrong in %s: %#x instead of %#x\n", what, got, want)
		os.Exit(statusWrong)
	}
	verified.Finished()
}

// Goroutines that live for a piece of work.
func spawn(seed uint64) {
	var results [16]uint64
	var group sync.WaitGroup
	group.Add(len(results))
	for i := range results {
		go func(i int) {
			defer group.Done()
			results[i] = digest(seed+uint64(i), 32)
		}(i)
	}
	group.Wait()
	for i, result := range results {
		verify("spawn", result, digest(seed+uint64(i), 32))
	}
}

// Pairs that park and are made ready for every word.
func pingpong(int) func(seed uint64) {
	to, fro := make(chan uint64), make(chan uint64)
	partner := func() {
		for seed := range to {
			fro <- digest(seed, 4)
		}
	}
	go partner()
	return func(seed uint64) {
		for i := uint64(0); i < 32; i++ {
			to <- seed + i
			verify("pingpong", <-fro, digest(seed+i, 4))
		}
	}
}

// Goroutines from one of many `go` statements, reached by one of many ways.
func sites(seed uint64) {
	result := make(chan uint64, 1)
	way(6, seed, func() { starts[seed>>20%uint64(len(starts))](func() { result <- digest(seed, 8) }) })
	verify("sites", <-result, digest(seed, 8))
}

func way(level int, seed uint64, end func()) {
	switch {
	case level == 0:
		end()
	case seed>>40>>level&1 == 0:
		left(level, seed, end)
	default:
		right(level, seed, end)
	}
}

//go:noinline
func left(level int, seed uint64, end func()) { way(level-1, seed, end) }

//go:noinline
func right(level int, seed uint64, end func()) { way(level-1, seed, end) }

// A stack that grows, is copied and keeps what is on it.
func stacks(seed uint64) {
	done := make(chan uint64)
	go func() {
		own := seed
		done <- deep(int(seed>>30%200), seed, &own)
	}()
	verify("stacks", <-done, seed)
}

//go:noinline
func deep(level int, seed uint64, above *uint64) uint64 {
	var room [32]uint64
	for i := range room {
		room[i] = seed + uint64(level*i)
	}
	if level > 0 {
		deep(level-1, seed, &room[level%32])
	} else {
		runtime.Gosched()
	}
	for i := range room {
		if room[i] != seed+uint64(level*i) {
			verify("stacks", room[i], seed+uint64(level*i))
		}
	}
	return *above
}

// Goroutines that keep a word while they wait, and are asked one after the other.
func quiet(n int) func(seed uint64) {
	type keeper struct{ ask, answer chan uint64 }
	var keepers []keeper
	for i := 0; i < n; i++ {
		one := keeper{make(chan uint64), make(chan uint64)}
		keepers = append(keepers, one)
		go func(kept uint64) {
			for question := range one.ask {
				one.answer <- digest(kept, 8) ^ question
			}
		}(uint64(i))
	}
	return func(seed uint64) {
		i := seed >> 20 % uint64(len(keepers))
		keepers[i].ask <- seed
		verify("quiet", <-keepers[i].answer, digest(i, 8)^seed)
	}
}
