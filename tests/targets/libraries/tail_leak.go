package main

import (
	"path/filepath"

	"leaktrace.test/targets/behaviour"
)

// A tail per viewer of a log that is not stopped when the viewer goes: aws/amazon-cloudwatch-agent#59 is of this kind.
//
// leaks: github.com/nxadm/tail.TailFile
// leaks: github.com/nxadm/tail/watch.(*InotifyFileWatcher).ChangeEvents
func init() {
	behaviour.Register("tail_leak", func() {
		quiet, busy := filepath.Join(temporary(), "log"), filepath.Join(temporary(), "log")
		writeLog(quiet)
		writeLog(busy)
		go readLines(tailFile(busy))
		behaviour.Every(request, func(int) { writeLog(busy) })
		behaviour.Every(leak, func(int) { <-tailFile(quiet).Lines }) // from
	})
}
