//go:build go1.21

package main

import "context"

func init() { kinds = append(kinds, contextAfterFunc) }

//go:noinline
func contextAfterFunc() {
	ctx, cancel := context.WithCancel(context.Background())
	context.AfterFunc(ctx, wait)
	cancel()
}
