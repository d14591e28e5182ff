package main

import (
	"fmt"
	"path/filepath"

	"leaktrace.test/targets/behaviour"
)

// A logger per job; Close ends only the file: natefinch/lumberjack#56, natefinch/lumberjack#205.
//
// leaks: gopkg.in/natefinch/lumberjack.v2.(*Logger).mill.func1
func init() {
	behaviour.Register("lumberjack_leak", func() {
		directory := temporary()
		shared := logTo(filepath.Join(directory, "shared"))
		behaviour.Every(request, func(int) { must(fmt.Fprintln(shared, "another line")) })
		behaviour.Every(leak, func(n int) {
			complain(logTo(filepath.Join(directory, fmt.Sprint(n%10))).Close()) // from
		})
	})
}
