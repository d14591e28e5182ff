//go:build go1.24

package main

import "runtime"

func init() { kinds = append(kinds, keepCleanup) }

// Only the cleanup's argument refers to the channel.
//
//go:noinline
func keepCleanup() {
	c := make(chan int)
	o := &object{8}
	runtime.AddCleanup(o, func(c chan int) { c <- 1 }, c)
	objects = append(objects, o)
	go liveCleanup(c)
}

func liveCleanup(c chan int) { <-c }
