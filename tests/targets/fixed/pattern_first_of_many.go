package main

import (
	"time"

	"leaktrace.test/targets/behaviour"
)

func init() {
	behaviour.Register("pattern_first_of_many", func() {
		behaviour.Every(200*time.Millisecond, func(int) { askAll(5) })
	})
}

func askAll(servers int) int {
	answers := make(chan int, servers)
	for server := 0; server < servers; server++ {
		go func(server int) {
			time.Sleep(time.Duration(server) * 10 * time.Millisecond)
			answers <- server
		}(server)
	}
	return <-answers
}
