//go:build go1.23

package main

import (
	"iter"

	"leaktrace.test/targets/control"
)

func init() { register("coroutine", coroutine) }

var pulled []func() (int, bool)

// Iterators that are pulled from once and then forgotten: each is a goroutine that waits as "coroutine".
func coroutine(n int) {
	site := control.NewSite("coroutine")
	for i := 0; i < n; i++ {
		site.Spawned()
		next, _ := iter.Pull(func(yield func(int) bool) {
			for value := 0; yield(value); value++ {
			}
		})
		next()
		pulled = append(pulled, next)
	}
}
