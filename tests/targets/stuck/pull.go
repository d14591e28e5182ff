//go:build go1.23

package main

import "iter"

func init() { kinds = append(kinds, leakIterator, keepIterator, keepUnstartedIterator) }

// The iterators that somebody may go on with.
var iterators []func() (int, bool)

//go:noinline
func leakIterator() {
	next, _ := iter.Pull(leakedIterator)
	next()
}

func leakedIterator(yield func(int) bool) {
	for yield(1) {
	}
}

//go:noinline
func keepIterator() {
	next, _ := iter.Pull(liveIterator)
	next()
	iterators = append(iterators, next)
}

func liveIterator(yield func(int) bool) {
	for yield(1) {
	}
}

// Its goroutine has no frame of ours before the first step.
//
//go:noinline
func keepUnstartedIterator() {
	next, _ := iter.Pull(liveIterator)
	iterators = append(iterators, next)
}
