package main

import (
	"database/sql"
	"time"

	"leaktrace.test/targets/behaviour"
)

// One handle with a bounded pool, and long reports beside short queries.
func init() {
	behaviour.Register("pq_pool_ok", func() {
		db := must(sql.Open("postgres", pqURL(postgresServer())))
		db.SetMaxOpenConns(8)
		db.SetConnMaxLifetime(30 * time.Second)
		behaviour.Every(request, func(int) { go pqQuery(db) })
		behaviour.Every(7*time.Second, func(int) {
			go func() {
				transaction := must(db.Begin())
				time.Sleep(20 * time.Second)
				complain(transaction.Rollback())
			}()
		})
	})
}
