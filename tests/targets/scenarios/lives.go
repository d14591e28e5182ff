package main

import (
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"leaktrace.test/targets/control"
)

func init() {
	register("driven", driven)
	register("parked", parked)
	register("exits", exits)
	registerRestless("storm", storm)
	registerRestless("restless", restless)
}

// `spawn N` starts goroutines, `finish N` ends as many: births and ends that a test knows exactly.
func driven(n int) {
	site := control.NewSite("driven")
	gate := make(chan struct{})
	spawn := func(count int) {
		for i := 0; i < count; i++ {
			site.Spawned()
			go func() {
				defer site.Finished()
				<-gate
			}()
		}
	}
	control.On("spawn", spawn)
	control.On("finish", func(count int) {
		for i := 0; i < count; i++ {
			gate <- struct{}{}
		}
	})
	spawn(n)
}

// Many goroutines that all wait for one channel, with a stack each.
func parked(n int) {
	site := control.NewSite("parked")
	never := make(chan int)
	for i := 0; i < n; i++ {
		site.Spawned()
		go func() {
			defer site.Finished()
			<-never
		}()
	}
}

// `exec 0` replaces the process by a fresh run of itself, `exit N` ends it.
func exits(int) {
	control.On("exec", func(int) {
		self, err := os.Executable()
		if err != nil {
			panic(err)
		}
		panic(syscall.Exec(self, os.Args, os.Environ()))
	})
	control.On("exit", os.Exit)
}

// n spawners start goroutines that end at once, without pause until `calm 0`. `rounds N` instead does N a spawner.
func storm(n int) {
	site := control.NewSite("storm")
	var calm atomic.Bool
	var spawners sync.WaitGroup
	spawners.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			defer spawners.Done()
			for !calm.Load() {
				stormRound(site)
			}
		}()
	}
	control.On("calm", func(int) {
		calm.Store(true)
		spawners.Wait()
	})
}

// Sixteen short lives; one in a while is left behind for ever, so that there is something to lose count of.
func stormRound(site *control.Site) {
	var round sync.WaitGroup
	round.Add(16)
	for i := 0; i < 16; i++ {
		site.Spawned()
		go func() {
			defer round.Done()
			defer site.Finished()
		}()
	}
	round.Wait()
	if left.Add(1)%1024 == 0 {
		leaveBehind()
	}
}

var (
	left      atomic.Int64
	leftSite  = control.NewSite("storm_left")
	leftNever = make(chan int)
)

func leaveBehind() {
	leftSite.Spawned()
	go func() {
		defer leftSite.Finished()
		<-leftNever
	}()
}

// Pairs that pass a token to and fro. One of each waits for it in turn on two ways whose frames are equally large, so
// that a stack that was read while it changed would show a way that does not exist.
func restless(n int) {
	site := control.NewSite("restless")
	for i := 0; i < n; i++ {
		to, fro := make(chan int), make(chan int)
		site.Spawned()
		go func() {
			for {
				oddOuter(to)
				fro <- 1
				evenOuter(to)
				fro <- 2
			}
		}()
		site.Spawned()
		go func() {
			for {
				to <- 1
				<-fro
			}
		}()
	}
}

//go:noinline
func oddOuter(from chan int) int { return oddMiddle(from) + 1 }

//go:noinline
func oddMiddle(from chan int) int { return oddInner(from) + 1 }

//go:noinline
func oddInner(from chan int) int { return <-from + 1 }

//go:noinline
func evenOuter(from chan int) int { return evenMiddle(from) + 1 }

//go:noinline
func evenMiddle(from chan int) int { return evenInner(from) + 1 }

//go:noinline
func evenInner(from chan int) int { return <-from + 1 }
