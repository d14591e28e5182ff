package main

import (
	"time"

	"leaktrace.test/targets/behaviour"
)

func init() {
	behaviour.Register("pattern_contract", func() { behaviour.Every(200*time.Millisecond, useWorker) })
}

type worker struct {
	jobs chan int
	done chan struct{}
}

func (w worker) Start() {
	go func() {
		for {
			select {
			case <-w.jobs:
			case <-w.done:
				return
			}
		}
	}()
}

func (w worker) Stop() { close(w.done) }

func useWorker(int) {
	started := worker{make(chan int), make(chan struct{})}
	started.Start()
	for job := 0; job < 10; job++ {
		started.jobs <- job
	}
	time.AfterFunc(3*time.Second, started.Stop)
}
