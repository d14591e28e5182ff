package main

import (
	"time"

	"github.com/robfig/cron/v3"
)

func everySecond(scheduler *cron.Cron) {
	must(scheduler.AddFunc("@every 1s", func() { time.Sleep(10 * time.Millisecond) }))
	scheduler.Start()
}
