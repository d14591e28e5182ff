//go:build go1.23

package main

import "iter"

func init() { kinds = append(kinds, pull) }

//go:noinline
func pull() {
	next, _ := iter.Pull(values)
	next()
}

func values(yield func(int) bool) {
	for yield(1) {
	}
}
