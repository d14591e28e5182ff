package main

import "leaktrace.test/targets/behaviour"

// A pool per tenant that is made anew instead of being closed: jackc/pgx#746, googleapis/mcp-toolbox#3933.
//
// leaks: github.com/jackc/pgx/v4/pgxpool.ConnectConfig
func init() {
	behaviour.Register("pgx_pool_leak", func() {
		address := postgresServer()
		pool := pgxPool(address, 4)
		behaviour.Every(request, func(int) { pgxQuery(pool) })
		behaviour.Every(leak, func(int) { pgxQuery(pgxPool(address, 2)) }) // from
	})
}
