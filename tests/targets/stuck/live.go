package main

import (
	"context"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

var liveKinds = []func(){
	keepGlobal, keepMap, keepBuffered, keepTimer, keepTicker, keepAfterFunc, keepSelectTimer, keepFinalizer, keepContext,
	keepChildContext, keepBusy, keepSleeper, keepChain, keepIO, keepDeferred, keepStackArray, keepLocks, keepClosure,
	keepInterface,
}

type channels struct{ list []chan int }

var (
	globals   channels
	byName    = map[string]chan int{}
	inFlight  = make(chan chan int, 1000)
	objects   []*object
	contexts  []context.CancelFunc
	root, end = context.WithCancel(context.Background())
	lock      locks
	cond      = sync.NewCond(&sync.Mutex{})
	stops     []func()
	pointer   atomic.Value
	counter   int64
)

type object struct{ number int }

func liveReceive(c chan int) { <-c }

//go:noinline
func keepGlobal() {
	c := make(chan int)
	globals.list = append(globals.list, c)
	go liveReceive(c)
}

//go:noinline
func keepMap() {
	c := make(chan int)
	byName[time.Now().String()] = c
	go liveInMap(c)
}

func liveInMap(c chan int) { c <- 1 }

//go:noinline
func keepBuffered() {
	c := make(chan int)
	inFlight <- c
	go liveInBuffer(c)
}

func liveInBuffer(c chan int) { <-c }

func liveOnMainsStack(c chan int) { <-c }

//go:noinline
func keepTimer() { go liveTimer() }

func liveTimer() { <-time.After(time.Hour) }

//go:noinline
func keepTicker() { go liveTicker(time.NewTicker(time.Hour)) }

func liveTicker(t *time.Ticker) {
	for range t.C {
	}
}

//go:noinline
func keepAfterFunc() {
	c := make(chan int)
	time.AfterFunc(time.Hour, func() { c <- 1 })
	go liveAfterFunc(c)
}

func liveAfterFunc(c chan int) { <-c }

//go:noinline
func keepSelectTimer() { go liveSelectTimer(make(chan int)) }

func liveSelectTimer(c chan int) {
	select {
	case <-c:
	case <-time.After(time.Hour):
	}
}

// Only the finalizer's function refers to the channel.
//
//go:noinline
func keepFinalizer() {
	c := make(chan int)
	o := &object{7}
	runtime.SetFinalizer(o, func(*object) { c <- 1 })
	objects = append(objects, o)
	go liveFinalizer(c)
}

func liveFinalizer(c chan int) { <-c }

//go:noinline
func keepContext() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	_ = cancel
	go liveContext(ctx)
}

func liveContext(ctx context.Context) { <-ctx.Done() }

//go:noinline
func keepChildContext() {
	ctx, cancel := context.WithCancel(root)
	_ = cancel
	go liveChildContext(ctx)
}

func liveChildContext(ctx context.Context) { <-ctx.Done() }

//go:noinline
func keepBusy() {
	c := make(chan int)
	go liveBusy(c)
	go liveOnBusyStack(c)
}

// Mostly on a CPU, but not always: the program has to become ready.
func liveBusy(c chan int) {
	for atomic.AddInt64(&counter, 1) > 0 {
		for i := 0; i < 1000; i++ {
			atomic.AddInt64(&counter, 1)
		}
		time.Sleep(time.Millisecond)
	}
	c <- 1
}

func liveOnBusyStack(c chan int) { <-c }

//go:noinline
func keepSleeper() {
	c := make(chan int)
	go liveSleeper(c)
	go liveOnSleepersStack(c)
}

func liveSleeper(c chan int) {
	time.Sleep(time.Hour)
	c <- 1
}

func liveOnSleepersStack(c chan int) { <-c }

//go:noinline
func keepChain() {
	next := make(chan int)
	go liveSleeper(next)
	for i := 0; i < 10; i++ {
		after := make(chan int)
		go liveLink(next, after)
		next = after
	}
	go liveOnSleepersStack(next)
}

func liveLink(own, next chan int) {
	<-own
	next <- 1
}

//go:noinline
func keepIO() {
	reader, writer, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	stops = append(stops, func() { _ = writer.Close() })
	c := make(chan int)
	go liveReader(reader, c)
	go liveOnReadersStack(c)
}

func liveReader(reader *os.File, c chan int) {
	_, _ = reader.Read(make([]byte, 1))
	c <- 1
}

func liveOnReadersStack(c chan int) { <-c }

// Only deferred calls refer to the channels: one in the frame, others in a list.
//
//go:noinline
func keepDeferred() {
	c, d := make(chan int), make(chan int)
	go liveDeferring(c)
	go liveDeferringInLoop(d)
	go liveDeferred(c)
	go liveDeferred(d)
}

func liveDeferring(c chan int) {
	defer close(c)
	time.Sleep(time.Hour)
}

func liveDeferringInLoop(c chan int) {
	for i := 0; i < 3; i++ {
		defer func(number int) { c <- number }(i)
	}
	time.Sleep(time.Hour)
}

func liveDeferred(c chan int) { <-c }

// The channel is in an array on the stack whose address goes around.
//
//go:noinline
func keepStackArray() {
	c := make(chan int)
	go liveArray(c)
	go liveInArray(c)
}

func liveArray(c chan int) {
	var room [8]chan int
	room[5] = c
	sleepOver(&room)
}

//go:noinline
func sleepOver(room *[8]chan int) {
	time.Sleep(time.Hour)
	room[5] <- 1
}

func liveInArray(c chan int) { <-c }

//go:noinline
func keepLocks() {
	if lock.mutex.TryLock() {
		lock.both.Lock()
		lock.group.Add(1)
	}
	go liveMutex()
	go liveRLock()
	go liveGroup()
	go liveCond()
}

func liveMutex() { lock.mutex.Lock() }

func liveRLock() { lock.both.RLock() }

func liveGroup() { lock.group.Wait() }

func liveCond() {
	cond.L.Lock()
	cond.Wait()
}

//go:noinline
func keepClosure() {
	c := make(chan int)
	stops = append(stops, func() { close(c) })
	go liveClosure(c)
}

func liveClosure(c chan int) { <-c }

// Behind an interface, in memory that is swapped as a whole.
//
//go:noinline
func keepInterface() {
	c := make(chan int)
	old, _ := pointer.Load().([]any)
	pointer.Store(append(append([]any{}, old...), c))
	go liveInterface(c)
}

func liveInterface(c chan int) { <-c }
