package main

import (
	"github.com/fsnotify/fsnotify"
	"leaktrace.test/targets/behaviour"
)

// A watcher for each reload of the configuration, none of which is closed: yaitoo/xun#132, projectcalico/calico#13727.
//
// leaks: github.com/fsnotify/fsnotify.NewWatcher
// leaks: github.com/fsnotify/fsnotify.NewBufferedWatcher
// leaks: github.com/fsnotify/fsnotify.newBackend
// leaks: github.com/fsnotify/fsnotify.newBufferedBackend
func init() {
	behaviour.Register("fsnotify_leak", func() {
		directory, quiet := temporary(), temporary()
		shared := watchDirectory(directory)
		go drainEvents(shared)
		behaviour.Every(request, func(int) { touch(directory) })
		behaviour.Every(3*leak, func(int) {
			watcher := watchDirectory(quiet) // from
			go drainEvents(watcher)          // leaks
		})
	})
}

func drainEvents(watcher *fsnotify.Watcher) {
	for range watcher.Events { // stuck
	}
}
