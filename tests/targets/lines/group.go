//go:build go1.25

package main

import "sync"

func init() { kinds = append(kinds, waitGroup) }

//go:noinline
func waitGroup() {
	var group sync.WaitGroup
	group.Go(wait)
}
