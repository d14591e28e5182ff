package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"leaktrace.test/targets/behaviour"
)

// Caddy in front of server-sent events, for clients that come one by one and stay, with short requests beside them. The
// server is watched as well.
func init() {
	behaviour.Register("caddy_proxy_ok", func() {
		address, directory := freeAddress(), temporary()
		config := filepath.Join(directory, "Caddyfile")
		events := strings.TrimPrefix(httpServer(events), "http://")
		text := "{\n\tadmin off\n}\n" + "http://" + address + " {\n\treverse_proxy " + events + "\n}\n"
		check(os.WriteFile(config, []byte(text), 0o600))
		check(os.Setenv("HOME", directory))
		startServer(address, "caddy", "run", "--config", config, "--adapter", "caddyfile")
		url := "http://" + address
		behaviour.Every(request, func(int) { httpGet(http.DefaultClient, url+"/short") })
		clients(200, func(int) { readEvents(url) })
	})
}
