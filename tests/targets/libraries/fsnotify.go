package main

import (
	"os"
	"path/filepath"

	"github.com/fsnotify/fsnotify"
)

func watchDirectory(directory string) *fsnotify.Watcher {
	watcher := must(fsnotify.NewWatcher())
	check(watcher.Add(directory))
	return watcher
}

func touch(directory string) {
	check(os.WriteFile(filepath.Join(directory, "touched"), []byte("again"), 0o600))
}
