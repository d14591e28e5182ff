package main

import (
	"time"

	"leaktrace.test/targets/behaviour"
)

// A watcher for each of some directories, made one by one and kept; and others that are closed after a while. Together
// with the leaking program that is fewer than the 128 watchers that a user may have.
func init() {
	behaviour.Register("fsnotify_ok", func() {
		directory := temporary()
		behaviour.Every(request, func(int) { touch(directory) })
		clients(12, func(int) { keepWatching(temporary()) })
		behaviour.Every(3*arrival, func(n int) {
			watcher := watchDirectory(temporary())
			time.AfterFunc(time.Duration(20+n%30)*time.Second, func() { complain(watcher.Close()) })
			go func() {
				for range watcher.Events {
				}
			}()
		})
	})
}

func keepWatching(directory string) {
	watcher := watchDirectory(directory)
	for {
		select {
		case <-watcher.Events:
		case err := <-watcher.Errors:
			complain(err)
		}
	}
}
