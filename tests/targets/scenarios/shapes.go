package main

import (
	"runtime"

	"leaktrace.test/targets/control"
	worker "leaktrace.test/targets/work.er"
)

func init() {
	register("generic", generic)
	register("method_value", methodValue)
	register("interface_method", interfaceMethod)
	register("promoted_method", promotedMethod)
	register("nested_closure", nestedClosure)
	register("with_arguments", withArguments)
	register("deferred_wait", deferredWait)
	register("faulted_wait", faultedWait)
	register("recovered_wait", recoveredWait)
	register("finalizer_wait", finalizerWait)
	register("inlined", inlined)
	register("inlined_creator", inlinedCreator)
	register("deep", deep)
	register("deeper", deeper)
	register("deep_creator", deepCreator)
}

func generic(n int) {
	site := control.NewSite("generic")
	for i := 0; i < n; i++ {
		box := &worker.Box[map[string]int]{From: make(chan map[string]int)}
		site.Spawned()
		go func() {
			defer site.Finished()
			box.Take()
		}()
	}
}

func methodValue(n int) {
	site := control.NewSite("method_value")
	for i := 0; i < n; i++ {
		box := &worker.Box[int]{From: make(chan int)}
		take := box.Take
		site.Spawned()
		go take()
	}
}

func interfaceMethod(n int) {
	site := control.NewSite("interface_method")
	for i := 0; i < n; i++ {
		var waiter worker.Waiter = &worker.Silent{From: make(chan int)}
		site.Spawned()
		go waiter.WaitForever()
	}
}

func promotedMethod(n int) {
	site := control.NewSite("promoted_method")
	for i := 0; i < n; i++ {
		var waiter worker.Waiter = &worker.Embedding{Silent: worker.Silent{From: make(chan int)}}
		site.Spawned()
		go func() {
			defer site.Finished()
			waiter.WaitForever()
		}()
	}
}

func nestedClosure(n int) {
	site := control.NewSite("nested_closure")
	start := func() {
		wait := func(from chan int) { <-from }
		site.Spawned()
		go func() {
			defer site.Finished()
			func() { wait(make(chan int)) }()
		}()
	}
	for i := 0; i < n; i++ {
		start()
	}
}

// The compiler wraps a call with arguments in a closure of its own (gowrap).
func withArguments(n int) {
	site := control.NewSite("with_arguments")
	for i := 0; i < n; i++ {
		site.Spawned()
		go waitWith(make(chan int), i, "argument")
	}
}

//go:noinline
func waitWith(from chan int, _ int, _ string) { <-from }

// Blocks in a deferred call, while a panic unwinds.
func deferredWait(n int) {
	site := control.NewSite("deferred_wait")
	for i := 0; i < n; i++ {
		never := make(chan int)
		site.Spawned()
		go func() {
			defer func() { <-never }()
			panic("the deferred function never returns, so this kills nobody")
		}()
	}
}

// Blocks in a deferred call after a fault: a frame that was not left by a call but by a signal.
func faultedWait(n int) {
	site := control.NewSite("faulted_wait")
	for i := 0; i < n; i++ {
		never := make(chan int)
		site.Spawned()
		go func() {
			defer func() { <-never }()
			sink = readThrough(nil)
		}()
	}
}

//go:noinline
func readThrough(nowhere *[4]int) int { return nowhere[2] }

// Recovers from a panic and then waits.
func recoveredWait(n int) {
	site := control.NewSite("recovered_wait")
	for i := 0; i < n; i++ {
		never := make(chan int)
		site.Spawned()
		go func() {
			defer site.Finished()
			defer func() {
				_ = recover()
				<-never
			}()
			var nothing map[string]int
			nothing["x"] = 1
		}()
	}
}

// Blocks the runtime's own goroutine for finalizers, which is the program's meanwhile. There is only one.
func finalizerWait(int) {
	site := control.NewSite("finalizer_wait")
	site.Spawned()
	started, never := make(chan struct{}), make(chan int)
	runtime.SetFinalizer(&[16]int{}, func(*[16]int) {
		close(started)
		<-never
	})
	runtime.GC()
	<-started
}

// Three functions of ours that the compiler folds into one.
func inlined(n int) {
	site := control.NewSite("inlined")
	for i := 0; i < n; i++ {
		never := make(chan int)
		site.Spawned()
		go func() {
			defer site.Finished()
			outer(never)
		}()
	}
}

func outer(from chan int) int { return middle(from) + 1 }

func middle(from chan int) int { return inner(from) + 1 }

func inner(from chan int) int { return <-from }

// The creator's callers are inlined: its stack has frames that share a pc.
func inlinedCreator(n int) {
	site := control.NewSite("inlined_creator")
	for i := 0; i < n; i++ {
		inlinedStart(site)
	}
}

func inlinedStart(site *control.Site) { inlinedStartInner(site) }

func inlinedStartInner(site *control.Site) { physicalStart(site) }

//go:noinline
func physicalStart(site *control.Site) {
	never := make(chan int)
	site.Spawned()
	go func() {
		defer site.Finished()
		<-never
	}()
}

var sink int

const depth = 70

func deep(n int) {
	site := control.NewSite("deep")
	for i := 0; i < n; i++ {
		never := make(chan int)
		site.Spawned()
		go func() {
			defer site.Finished()
			descend(depth, func() { <-never })
		}()
	}
}

// Many times more frames than Go prints, on a stack that has grown several times.
func deeper(n int) {
	site := control.NewSite("deeper")
	for i := 0; i < n; i++ {
		never := make(chan int)
		site.Spawned()
		go func() {
			defer site.Finished()
			descend(depth*20, func() { <-never })
		}()
	}
}

func deepCreator(n int) {
	site := control.NewSite("deep_creator")
	for i := 0; i < n; i++ {
		descend(depth, func() { physicalStart(site) })
	}
}

// A frame that is larger with every level, so that stack deltas differ.
//
//go:noinline
func descend(levels int, bottom func()) int {
	var room [9]int
	if levels == 0 {
		bottom()
		return room[levels]
	}
	room[levels%9] = descend(levels-1, bottom)
	return room[0] + room[levels%9]
}
