package main

import (
	"context"
	"time"

	"golang.org/x/sync/semaphore"
	"leaktrace.test/targets/behaviour"
)

// An early return keeps its slot, and some time later everybody waits for one: ledgerwatch/erigon-lib#566.
func init() {
	behaviour.Register("semaphore_leak", func() {
		slots := semaphore.NewWeighted(8)
		behaviour.Every(leak, func(n int) {
			go upload(slots, n) // leaks
		})
		other := semaphore.NewWeighted(2)
		behaviour.Every(request, func(int) {
			check(other.Acquire(context.Background(), 1))
			other.Release(1)
		})
	})
}

func upload(slots *semaphore.Weighted, n int) {
	check(slots.Acquire(context.Background(), 1)) // stuck
	if n%2 == 1 {
		return // It forgets to release.
	}
	time.Sleep(10 * time.Millisecond)
	slots.Release(1)
}
