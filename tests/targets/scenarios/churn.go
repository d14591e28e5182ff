package main

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"leaktrace.test/targets/control"
)

func init() {
	registerRestless("churn", churn)
	control.OnStacks("late", func() string {
		return fmt.Sprint(goLate.Swap(0), " ", threadLate.Swap(0))
	})
}

// Goroutines that are born, park, grow their stacks and end as fast as the machine lets them, n at a time. Each
// descends by a way of its own, so that its stack says whose it is: on level i, the function is turn1 if bit i of its
// id, counted round in 16, is set, and else turn0.
func churn(n int) {
	site := control.NewSite("churn")
	go tick()
	go tickThread()
	for i := 0; i < n; i++ {
		site.Spawned()
		go live(site, uint64(i))
	}
}

// How late two tickers were at most since they were last asked, in microseconds: one of Go's, which also waits for its
// turn among all the goroutines, and a thread of the kernel's real-time class, which waits for nothing but locks.
var goLate, threadLate atomic.Int64

const period = time.Millisecond

func note(latest *atomic.Int64, started time.Time) {
	late := (time.Since(started) - period).Microseconds()
	for before := latest.Load(); late > before && !latest.CompareAndSwap(before, late); {
		before = latest.Load()
	}
}

func tick() {
	for {
		started := time.Now()
		time.Sleep(period)
		note(&goLate, started)
	}
}

// Maps and unmaps a page, which waits for whoever reads the process's mappings.
func tickThread() {
	runtime.LockOSThread()
	const fifo = 1
	priority := int32(1)
	syscall.RawSyscall(syscall.SYS_SCHED_SETSCHEDULER, 0, fifo, uintptr(unsafe.Pointer(&priority)))
	pause := syscall.NsecToTimespec(int64(period))
	for {
		started := time.Now()
		syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&pause)), 0, 0)
		const private, anonymous = 2, 32
		page, _, _ := syscall.RawSyscall6(syscall.SYS_MMAP, 0, 4096, 0, private|anonymous, ^uintptr(0), 0)
		syscall.RawSyscall(syscall.SYS_MUNMAP, page, 4096, 0)
		note(&threadLate, started)
		runtime.Gosched()
	}
}

const deepest = 48

// The descents of one life. Its successor is a goroutine of its own, perhaps on the same stack.
func live(site *control.Site, seed uint64) {
	id := ownID()
	for descents := 0; descents < 4; descents++ {
		seed = seed*6364136223846793005 + 1442695040888963407
		descendBy(id, 0, int(seed>>33)%deepest, seed)
	}
	site.Finished()
	site.Spawned()
	go live(site, seed)
}

func descendBy(id uint64, level, bottom int, seed uint64) uint64 {
	if level == bottom {
		rest(seed)
		return id
	}
	if id>>(level%16)&1 == 1 {
		return turn1(id, level, bottom, seed)
	}
	return turn0(id, level, bottom, seed)
}

//go:noinline
func turn0(id uint64, level, bottom int, seed uint64) uint64 {
	var room [24]uint64
	room[level%24] = descendBy(id, level+1, bottom, seed)
	return room[level%24] ^ room[(level+1)%24]
}

//go:noinline
func turn1(id uint64, level, bottom int, seed uint64) uint64 {
	var room [48]uint64
	room[level%48] = descendBy(id, level+1, bottom, seed)
	return room[level%48] ^ room[(level+1)%48]
}

var gate = make(chan struct{})

func rest(seed uint64) {
	switch seed >> 20 & 3 {
	case 0:
		time.Sleep(time.Duration(seed>>24&0x3ff) * time.Microsecond)
	case 1:
		runtime.Gosched()
	default:
		// Whoever comes first waits for the second.
		select {
		case gate <- struct{}{}:
		case <-gate:
		case <-time.After(time.Millisecond):
		}
	}
}

func ownID() uint64 {
	var text [32]byte
	header := string(text[:runtime.Stack(text[:], false)])
	id, err := strconv.ParseUint(strings.Fields(header)[1], 10, 64)
	if err != nil {
		panic(err)
	}
	return id
}
