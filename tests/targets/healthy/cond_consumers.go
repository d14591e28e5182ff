package main

import (
	"sync"
	"time"

	"leaktrace.test/targets/behaviour"
)

type queue struct {
	lock     sync.Mutex
	notEmpty *sync.Cond
	items    []int
}

// Consumers of a queue in which there is seldom something for more than one.
func init() {
	behaviour.Register("cond_consumers", func() {
		waiting := &queue{}
		waiting.notEmpty = sync.NewCond(&waiting.lock)
		for consumer := 0; consumer < 10; consumer++ {
			go waiting.consume()
		}
		behaviour.Every(time.Second, waiting.put)
	})
}

func (q *queue) put(item int) {
	q.lock.Lock()
	defer q.lock.Unlock()
	q.items = append(q.items, item)
	q.notEmpty.Signal()
}

func (q *queue) consume() {
	for {
		q.lock.Lock()
		for len(q.items) == 0 {
			q.notEmpty.Wait()
		}
		q.items = q.items[1:]
		q.lock.Unlock()
	}
}
