package main

import (
	"math"
	"time"

	"leaktrace.test/targets/behaviour"
)

// Sessions come and go with the time of day, of which one lasts forty seconds here.
func init() {
	behaviour.Register("daily_wave", func() {
		logout := make(chan struct{})
		sessions := 0
		behaviour.Every(100*time.Millisecond, func(n int) {
			wanted := int(60 - 50*math.Cos(float64(n)*math.Pi/200))
			for ; sessions < wanted; sessions++ {
				go func() { <-logout }()
			}
			for ; sessions > wanted; sessions-- {
				logout <- struct{}{}
			}
		})
	})
}
