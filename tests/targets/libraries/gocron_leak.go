package main

import (
	"time"

	"github.com/go-co-op/gocron"
	"leaktrace.test/targets/behaviour"
)

// A scheduler per tenant that nobody stops: go-co-op/gocron#837 is of this kind.
//
// leaks: github.com/go-co-op/gocron.(*executor).start
// leaks: github.com/go-co-op/gocron.(*executor).run
// leaks: github.com/go-co-op/gocron.(*Scheduler).start
// leaks: github.com/go-co-op/gocron.(*executor).run.func1
func init() {
	behaviour.Register("gocron_scheduler_leak", func() {
		shared := gocron.NewScheduler(time.UTC)
		must(shared.Every(1).Second().Do(func() { time.Sleep(10 * time.Millisecond) }))
		shared.StartAsync()
		behaviour.Every(leak, func(int) {
			scheduler := gocron.NewScheduler(time.UTC)
			must(scheduler.Every(1).Hour().Do(func() {}))
			scheduler.StartAsync() // from
		})
	})
}
