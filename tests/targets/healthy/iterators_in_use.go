//go:build go1.23

package main

import (
	"iter"
	"time"

	"leaktrace.test/targets/behaviour"
)

// Sessions that read on in their cursors now and then, and some that come and stay: the cursor's goroutine waits for them.
func init() {
	behaviour.Register("iterators_in_use", func() {
		behaviour.Every(400*time.Millisecond, func(n int) {
			if n < 60 {
				go cursor(n)
			}
		})
	})
}

func cursor(n int) {
	next, stop := iter.Pull(numbers(n))
	defer stop()
	for {
		next()
		time.Sleep(20 * time.Second)
	}
}

func numbers(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for yield(n) {
			n++
		}
	}
}
