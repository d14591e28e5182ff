package main

import (
	"database/sql"

	"leaktrace.test/targets/behaviour"
)

// A handle per request that is never closed: go-gorm/gorm#7689, signal18/replication-manager#295.
//
// leaks: database/sql.OpenDB
// leaks: github.com/lib/pq.NewDialListener
func init() {
	behaviour.Register("pq_open_leak", func() {
		address := postgresServer()
		shared := must(sql.Open("postgres", pqURL(address)))
		behaviour.Every(request, func(int) { pqQuery(shared) })
		behaviour.Every(leak, func(int) { pqQuery(must(sql.Open("postgres", pqURL(address)))) }) // from
	})
}
