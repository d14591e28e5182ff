package main

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"leaktrace.test/targets/behaviour"
)

// Server-sent events for clients that come one by one, directly and through a proxy, with short requests beside them.
func init() {
	behaviour.Register("http_events_ok", func() {
		address := httpServer(events)
		behaviour.Every(request, func(int) { httpGet(http.DefaultClient, address+"/short") })
		clients(200, func(int) { readEvents(address) })
	})
	behaviour.Register("http_proxy_ok", func() {
		proxy := httputil.NewSingleHostReverseProxy(must(url.Parse(httpServer(events))))
		address := httpServer(proxy.ServeHTTP)
		behaviour.Every(request, func(int) { httpGet(http.DefaultClient, address+"/short") })
		clients(100, func(int) { readEvents(address) })
	})
}

func events(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/short" {
		hello(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for {
		fmt.Fprint(w, "data: news\n\n")
		w.(http.Flusher).Flush()
		select {
		case <-time.After(15 * time.Second):
		case <-r.Context().Done():
			return
		}
	}
}

func readEvents(address string) {
	response := must(http.Get(address + "/events"))
	defer response.Body.Close()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
	}
}
