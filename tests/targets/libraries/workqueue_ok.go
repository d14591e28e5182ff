//go:build trixie

package main

import (
	"time"

	"leaktrace.test/targets/behaviour"
)

// One queue with many workers, and others that are shut down after a while.
func init() {
	behaviour.Register("workqueues_ok", func() {
		shared := queue()
		for worker := 0; worker < 20; worker++ {
			go work(shared)
		}
		behaviour.Every(request, func(n int) { shared.Add(n) })
		behaviour.Every(arrival, func(n int) {
			own := queue()
			go work(own)
			time.AfterFunc(time.Duration(20+n%40)*time.Second, own.ShutDown)
		})
	})
}
