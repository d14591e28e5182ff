package main

import (
	"context"
	"database/sql"
	"time"

	"leaktrace.test/targets/behaviour"
)

var orders = sql.OpenDB(behaviour.Database{})

// The pool has ten connections; rows that were left open keep them, and every other query waits without a limit.
func init() {
	behaviour.Register("starved_queries", func() {
		orders.SetMaxOpenConns(10)
		behaviour.Every(100*time.Millisecond, func(int) {
			go firstOrder() // leaks
		})
	})
}

func firstOrder() {
	rows, err := orders.QueryContext(context.Background(), "SELECT id FROM orders") // stuck
	if err != nil {
		return
	}
	rows.Next()
}
