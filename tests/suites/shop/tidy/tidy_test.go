// Package tidy leaves nothing behind.
package tidy

import (
	"sync"
	"testing"
)

func TestWaits(t *testing.T) {
	var all sync.WaitGroup
	for i := 0; i < 10; i++ {
		all.Add(1)
		go all.Done()
	}
	all.Wait()
}
