package main

import (
	"context"

	"github.com/jackc/pgx/v4/pgxpool"
	"leaktrace.test/targets/behaviour"
)

// Rows that are not closed after an early return keep every connection of the pool; all later queries wait for one:
// jackc/pgx#115.
func init() {
	behaviour.Register("pgx_rows_leak", func() {
		address := postgresServer()
		pool, healthy := pgxPool(address, 4), pgxPool(address, 4)
		behaviour.Every(request, func(int) { pgxQuery(healthy) })
		behaviour.Every(leak, func(int) {
			go pgxFirst(pool) // leaks
		})
	})
}

func pgxFirst(pool *pgxpool.Pool) {
	rows, err := pool.Query(context.Background(), "select 7") // stuck
	complain(err)
	rows.Next()
}
