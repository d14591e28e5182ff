package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"leaktrace.test/targets/behaviour"
)

// Each session listens for a signal, and never stops to.
func init() {
	behaviour.Register("signals_never_stopped", func() {
		behaviour.Every(200*time.Millisecond, func(int) {
			hangups := make(chan os.Signal, 1)
			signal.Notify(hangups, syscall.SIGHUP)
			go func() { // leaks
				<-hangups // stuck
			}()
		})
	})
}
