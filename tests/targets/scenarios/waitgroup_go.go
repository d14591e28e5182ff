//go:build go1.25

package main

import (
	"sync"

	"leaktrace.test/targets/control"
)

func init() { register("waitgroup_go", waitgroupGo) }

// The `go` statement is in the standard library: the caller is in the creator's stack only.
func waitgroupGo(n int) {
	site := control.NewSite("waitgroup_go")
	group, never := new(sync.WaitGroup), make(chan int)
	for i := 0; i < n; i++ {
		site.Spawned()
		group.Go(func() {
			defer site.Finished()
			<-never
		})
	}
}
