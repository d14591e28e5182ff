package main

import (
	"bufio"
	"fmt"
	"net/http"
	"path/filepath"

	"leaktrace.test/targets/behaviour"
)

// Viewers of quiet logs, who come one by one and stay: each handler tails a file until its viewer goes.
func init() {
	behaviour.Register("tail_events_ok", func() {
		quiet, busy := filepath.Join(temporary(), "log"), filepath.Join(temporary(), "log")
		writeLog(quiet)
		writeLog(busy)
		go readLines(tailFile(busy))
		behaviour.Every(request, func(int) { writeLog(busy) })
		url := httpServer(func(w http.ResponseWriter, r *http.Request) { viewLog(quiet, w, r) })
		clients(300, func(int) {
			response := must(http.Get(url))
			defer response.Body.Close()
			for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			}
		})
	})
}

func viewLog(path string, w http.ResponseWriter, r *http.Request) {
	viewed := tailFile(path)
	defer viewed.Stop()
	for {
		select {
		case line := <-viewed.Lines:
			fmt.Fprintln(w, "data:", line.Text)
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}
