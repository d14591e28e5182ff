package main

import (
	"path/filepath"
	"time"

	"leaktrace.test/targets/behaviour"
)

// Viewers who stay for a while, and stop and clean up when they go.
func init() {
	behaviour.Register("tail_viewers_ok", func() {
		directory := temporary()
		busy := filepath.Join(directory, "busy")
		writeLog(busy)
		behaviour.Every(request, func(int) { writeLog(busy) })
		behaviour.Every(arrival, func(n int) {
			viewed := tailFile(busy)
			time.AfterFunc(time.Duration(20+n%40)*time.Second, func() { complain(viewed.Stop()) })
			go readLines(viewed)
		})
	})
}
