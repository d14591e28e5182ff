package main

import (
	"sync"
	"time"

	"leaktrace.test/targets/behaviour"
)

func init() {
	behaviour.Register("waitgroup_without_done", func() { behaviour.Every(100*time.Millisecond, importFiles) })
}

func importFiles(n int) {
	go func() { // leaks
		var pending sync.WaitGroup
		for file := 0; file < 3; file++ {
			pending.Add(1)
			go importFile(&pending, n*3+file)
		}
		pending.Wait() // stuck
	}()
}

// The mistake: Done is not deferred, so a panic skips it.
func importFile(pending *sync.WaitGroup, file int) {
	defer func() { _ = recover() }()
	parse(file)
	pending.Done()
}

func parse(file int) {
	if file%6 == 0 {
		panic("not a file that we know")
	}
}
