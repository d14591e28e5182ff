package main

import (
	"fmt"
	"path/filepath"
	"time"

	"gopkg.in/natefinch/lumberjack.v2"
	"leaktrace.test/targets/behaviour"
)

// A log for each tenant, opened when it comes and rotated now and then.
func init() {
	behaviour.Register("lumberjack_ok", func() {
		directory := temporary()
		var all []*lumberjack.Logger
		for tenant := 0; tenant < 40; tenant++ {
			all = append(all, logTo(filepath.Join(directory, fmt.Sprint(tenant))))
		}
		behaviour.Every(request, func(n int) { must(fmt.Fprintln(all[n%len(all)], "another line")) })
		behaviour.Every(10*time.Second, func(n int) { complain(all[n%len(all)].Rotate()) })
	})
}
