package main

import (
	"context"
	"time"

	"leaktrace.test/targets/behaviour"
)

// Queries that wait for one of two connections, and jobs that hold one for a while.
func init() {
	behaviour.Register("pgx_busy_pool_ok", func() {
		pool := pgxPool(postgresServer(), 2)
		behaviour.Every(request, func(int) { go pgxQuery(pool) })
		behaviour.Every(15*time.Second, func(int) {
			connection := must(pool.Acquire(context.Background()))
			time.Sleep(4 * time.Second)
			connection.Release()
		})
	})
}
