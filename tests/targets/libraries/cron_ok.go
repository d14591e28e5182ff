package main

import (
	"sync"
	"time"

	"github.com/robfig/cron/v3"
	"leaktrace.test/targets/behaviour"
)

// Schedulers of tenants, one after the other and kept; a job that takes longer than its period and is skipped meanwhile;
// and a nightly one that works for long.
func init() {
	behaviour.Register("cron_tenants_ok", func() {
		for tenant := 0; tenant < 5; tenant++ {
			everySecond(cron.New(cron.WithSeconds()))
		}
		clients(30, func(int) { everySecond(cron.New(cron.WithSeconds())) })
		slow := cron.New(cron.WithSeconds(), cron.WithChain(cron.SkipIfStillRunning(cron.DiscardLogger)))
		must(slow.AddFunc("@every 2s", func() { time.Sleep(25 * time.Second) }))
		slow.Start()
	})
	behaviour.Register("cron_waits_ok", func() {
		scheduler, turn := cron.New(cron.WithSeconds()), sync.Mutex{}
		delayed := cron.NewChain(cron.DelayIfStillRunning(cron.DiscardLogger))
		scheduler.Schedule(cron.Every(5*time.Second), delayed.Then(cron.FuncJob(func() {
			turn.Lock()
			defer turn.Unlock()
			time.Sleep(4 * time.Second)
		})))
		everySecond(scheduler)
	})
}
