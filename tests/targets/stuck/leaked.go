package main

import (
	"context"
	"sync"
	"time"
)

var leakedKinds = []func(){
	leakReceive, leakSend, leakFull, leakRange, leakSelect, leakNilChannels, leakMutex, leakRWMutex, leakWaitGroup, leakCond,
	leakChain, leakCycle, leakMemory, leakContext, leakStoppedTimer, leakDeferred,
}

//go:noinline
func leakReceive() { go leakedReceive(make(chan int)) }

func leakedReceive(c chan int) { <-c }

//go:noinline
func leakSend() { go leakedSend(make(chan int)) }

func leakedSend(c chan int) { c <- 1 }

//go:noinline
func leakFull() {
	c := make(chan *int, 2)
	c <- nil
	c <- nil
	go leakedFull(c)
}

func leakedFull(c chan *int) { c <- nil }

//go:noinline
func leakRange() { go leakedRange(make(chan string)) }

func leakedRange(c chan string) {
	for range c {
	}
}

//go:noinline
func leakSelect() { go leakedSelect(make(chan int), make(chan string)) }

func leakedSelect(a chan int, b chan string) {
	select {
	case <-a:
	case b <- "":
	}
}

//go:noinline
func leakNilChannels() {
	go leakedNilReceive()
	go leakedNilSend()
	go leakedNoCases()
}

func leakedNilReceive() {
	var c chan int
	<-c
}

func leakedNilSend() {
	var c chan int
	c <- 1
}

func leakedNoCases() { select {} }

// Large enough not to share its memory with other small things.
type locks struct {
	mutex sync.Mutex
	both  sync.RWMutex
	group sync.WaitGroup
	_     [64]byte
}

//go:noinline
func leakMutex() {
	l := new(locks)
	l.mutex.Lock()
	go leakedMutex(l)
}

func leakedMutex(l *locks) { l.mutex.Lock() }

//go:noinline
func leakRWMutex() {
	l := new(locks)
	l.both.Lock()
	go leakedRLock(l)
	other := new(locks)
	other.both.RLock()
	go leakedRWLock(other)
}

func leakedRLock(l *locks) { l.both.RLock() }

func leakedRWLock(l *locks) { l.both.Lock() }

//go:noinline
func leakWaitGroup() {
	l := new(locks)
	l.group.Add(1)
	go leakedWaitGroup(l)
}

func leakedWaitGroup(l *locks) { l.group.Wait() }

//go:noinline
func leakCond() {
	cond := sync.NewCond(&new(locks).mutex)
	go leakedCond(cond)
	go leakedCond(cond)
}

func leakedCond(cond *sync.Cond) {
	cond.L.Lock()
	cond.Wait()
}

// Each can be woken only by the next, and the last by nobody.
//
//go:noinline
func leakChain() {
	last := make(chan int)
	go leakedLink(last, nil)
	for i := 0; i < 20; i++ {
		before := make(chan int)
		go leakedLink(before, last)
		last = before
	}
}

func leakedLink(own, next chan int) {
	<-own
	next <- 1
}

//go:noinline
func leakCycle() {
	a, b := make(chan int), make(chan int)
	go leakedLink(a, b)
	go leakedLink(b, a)
}

//go:noinline
func leakMemory() { go leakedMemory(make(chan int), make([]*int, 1<<15)) }

func leakedMemory(c chan int, memory []*int) {
	<-c
	memory[0] = nil
}

//go:noinline
func leakContext() {
	ctx, cancel := context.WithCancel(context.Background())
	_ = cancel
	go leakedContext(ctx)
}

func leakedContext(ctx context.Context) { <-ctx.Done() }

//go:noinline
func leakStoppedTimer() {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	go leakedStoppedTimer(timer.C)
}

func leakedStoppedTimer(c <-chan time.Time) { <-c }

//go:noinline
func leakDeferred() { go leakedDeferred(make(chan int)) }

func leakedDeferred(c chan int) {
	defer func() { c <- 1 }()
	<-c
}
