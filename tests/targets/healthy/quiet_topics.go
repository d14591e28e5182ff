package main

import (
	"sync"
	"time"

	"leaktrace.test/targets/behaviour"
)

// Ten subscribers a topic; something happens in few topics, and there rarely.
func init() {
	behaviour.Register("quiet_topics", func() {
		broker := &broker{topics: map[int][]chan int{}}
		for subscriber := 0; subscriber < 200; subscriber++ {
			go consume(broker.subscribe(subscriber % 20))
		}
		behaviour.Every(2*time.Second, func(n int) { broker.publish(n % 3) })
	})
}

type broker struct {
	lock   sync.Mutex
	topics map[int][]chan int
}

func (b *broker) subscribe(topic int) <-chan int {
	b.lock.Lock()
	defer b.lock.Unlock()
	messages := make(chan int, 1)
	b.topics[topic] = append(b.topics[topic], messages)
	return messages
}

func (b *broker) publish(topic int) {
	b.lock.Lock()
	defer b.lock.Unlock()
	for _, subscriber := range b.topics[topic] {
		subscriber <- topic
	}
}

func consume(messages <-chan int) {
	for range messages {
	}
}
