package main

import (
	"time"

	"github.com/go-co-op/gocron"
	"leaktrace.test/targets/behaviour"
)

// Schedulers that are stopped when their tenant goes, after half a minute or more.
func init() {
	behaviour.Register("gocron_tenants_ok", func() {
		behaviour.Every(arrival, func(n int) {
			scheduler := gocron.NewScheduler(time.UTC)
			must(scheduler.Every(1).Second().Do(func() { time.Sleep(5 * time.Millisecond) }))
			scheduler.StartAsync()
			time.AfterFunc(time.Duration(30+n%30)*time.Second, scheduler.Stop)
		})
	})
}
