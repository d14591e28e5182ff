package main

import (
	"github.com/robfig/cron/v3"
	"leaktrace.test/targets/behaviour"
)

// A job that hangs is started again and again: netresearch/go-cron#5.
//
// leaks: github.com/robfig/cron/v3.(*Cron).startJob
// leaks: github.com/robfig/cron.(*Cron).startJob
func init() {
	behaviour.Register("cron_job_leak", func() {
		scheduler, answers := cron.New(cron.WithSeconds()), make(chan int)
		kept = answers
		must(scheduler.AddFunc("@every 2s", func() { <-answers })) // stuck
		everySecond(scheduler)
	})
}

var kept chan int
