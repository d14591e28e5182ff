package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"leaktrace.test/targets/behaviour"
)

// Prometheus, which scrapes itself and this program, while somebody queries it. The server is watched as well.
func init() {
	behaviour.Register("prometheus_scrapes_ok", func() {
		address, directory := freeAddress(), temporary()
		config := filepath.Join(directory, "prometheus.yml")
		metrics := httpServer(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("up_since 7\n")) })
		targets := "'" + address + "', '" + strings.TrimPrefix(metrics, "http://") + "'"
		text := "global: {scrape_interval: 2s}\nscrape_configs:\n- job_name: all\n  static_configs:\n  - targets: [" + targets + "]\n"
		check(os.WriteFile(config, []byte(text), 0o600))
		startServer(address, "prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(directory, "data"),
			"--web.listen-address="+address, "--log.level=error")
		behaviour.Every(3*request, func(int) { httpGet(http.DefaultClient, "http://"+address+"/api/v1/query?query=up") })
	})
}
