package main

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"leaktrace.test/targets/behaviour"
)

// What a main function leaves behind: somebody waits for signals, somebody for the end, somebody for everybody.
func init() {
	behaviour.Register("shutdown_waiters", func() {
		signals, stop := make(chan os.Signal, 1), make(chan struct{})
		signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP)
		var components sync.WaitGroup
		components.Add(1)
		go func() {
			<-signals
			close(stop)
		}()
		go func() {
			defer components.Done()
			<-stop
		}()
		go func() {
			components.Wait()
			os.Exit(0)
		}()
		behaviour.Every(time.Second, func(int) { go func() { time.Sleep(100 * time.Millisecond) }() })
	})
}
