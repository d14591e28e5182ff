package main

import (
	"net"
	"runtime"
	"syscall"
	"time"

	"leaktrace.test/targets/control"
)

func init() {
	register("sleep", sleep)
	register("ticker", ticker)
	register("stopped_ticker", stoppedTicker)
	register("timer_chan", timerChan)
	register("io_wait", ioWait)
	register("syscall", blockedSyscall)
	register("locked_thread", lockedThread)
	registerRestless("busy", busy)
}

func sleep(n int) {
	site := control.NewSite("sleep")
	for i := 0; i < n; i++ {
		site.Spawned()
		go func() {
			defer site.Finished()
			time.Sleep(time.Hour)
		}()
	}
}

// Old, but alive: it wakes and waits again.
func ticker(n int) {
	site := control.NewSite("ticker")
	for i := 0; i < n; i++ {
		site.Spawned()
		go func() {
			defer site.Finished()
			for range time.NewTicker(20 * time.Millisecond).C {
			}
		}()
	}
}

// A loop over a ticker that is stopped never ends: Stop does not close its channel.
func stoppedTicker(n int) {
	site := control.NewSite("stopped_ticker")
	for i := 0; i < n; i++ {
		ticks := time.NewTicker(20 * time.Millisecond)
		site.Spawned()
		go func() {
			defer site.Finished()
			for range ticks.C {
			}
		}()
		ticks.Stop()
	}
}

func timerChan(n int) {
	site := control.NewSite("timer_chan")
	for i := 0; i < n; i++ {
		site.Spawned()
		go func() {
			defer site.Finished()
			<-time.After(time.Hour)
		}()
	}
}

func ioWait(n int) {
	site := control.NewSite("io_wait")
	for i := 0; i < n; i++ {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		site.Spawned()
		go func() {
			defer site.Finished()
			_, _ = listener.Accept()
		}()
	}
}

// A read on a raw descriptor holds a thread: status "syscall", not "waiting".
func blockedSyscall(n int) {
	site := control.NewSite("syscall")
	for i := 0; i < n; i++ {
		var pipe [2]int
		if err := syscall.Pipe(pipe[:]); err != nil {
			panic(err)
		}
		site.Spawned()
		go func() {
			defer site.Finished()
			_, _ = syscall.Read(pipe[0], make([]byte, 1))
		}()
	}
}

func lockedThread(n int) {
	site := control.NewSite("locked_thread")
	for i := 0; i < n; i++ {
		never := make(chan int)
		site.Spawned()
		go func() {
			defer site.Finished()
			runtime.LockOSThread()
			<-never
		}()
	}
}

// Never waits: its registers are on a thread, not in its g. Yields, so that it does not starve this small machine.
func busy(n int) {
	site := control.NewSite("busy")
	for i := 0; i < n; i++ {
		site.Spawned()
		go func() {
			defer site.Finished()
			for {
				runtime.Gosched()
			}
		}()
	}
}
