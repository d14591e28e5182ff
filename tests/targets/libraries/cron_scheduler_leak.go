package main

import (
	"github.com/robfig/cron/v3"
	"leaktrace.test/targets/behaviour"
)

// A scheduler for each reload of the jobs, while the old ones run on: gofr-dev/gofr#3211.
//
// leaks: github.com/robfig/cron/v3.(*Cron).Start
// leaks: github.com/robfig/cron.(*Cron).Start
func init() {
	behaviour.Register("cron_scheduler_leak", func() {
		everySecond(cron.New(cron.WithSeconds()))
		behaviour.Every(leak, func(int) {
			scheduler := cron.New()
			must(scheduler.AddFunc("@every 1h", func() {}))
			scheduler.Start() // from
		})
	})
}
