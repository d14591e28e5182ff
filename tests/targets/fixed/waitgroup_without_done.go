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
	go func() {
		var pending sync.WaitGroup
		for file := 0; file < 3; file++ {
			pending.Add(1)
			go importFile(&pending, n*3+file)
		}
		pending.Wait()
	}()
}

func importFile(pending *sync.WaitGroup, file int) {
	defer func() { _ = recover() }()
	defer pending.Done()
	parse(file)
}

func parse(file int) {
	if file%6 == 0 {
		panic("not a file that we know")
	}
	time.Sleep(20 * time.Millisecond)
}
