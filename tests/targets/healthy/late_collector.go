package main

import (
	"time"

	"leaktrace.test/targets/behaviour"
)

// Everything that was started in a minute is waited for at its end; until then all of it waits on one channel.
func init() {
	behaviour.Register("late_collector", func() {
		finished := make(chan int)
		started := 0
		behaviour.Every(time.Second, func(n int) {
			if n%45 == 44 {
				for ; started > 0; started-- {
					<-finished
				}
				return
			}
			started++
			go func() { finished <- n }()
		})
	})
}
