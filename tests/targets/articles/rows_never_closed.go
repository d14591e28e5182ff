package main

import (
	"context"
	"database/sql"
	"time"

	"leaktrace.test/targets/behaviour"
)

// The mistake is ours, the goroutines are not.
//
// leaks: database/sql.(*Rows).initContextClose
func init() {
	behaviour.Register("rows_never_closed", func() {
		orders := sql.OpenDB(behaviour.Database{})
		ctx, cancel := context.WithCancel(context.Background())
		stop = cancel
		behaviour.Every(100*time.Millisecond, func(int) { firstOrder(ctx, orders) })
	})
}

var stop context.CancelFunc

// The mistake: one row is read, and the others stay open.
func firstOrder(ctx context.Context, orders *sql.DB) (id int, err error) {
	rows, err := orders.QueryContext(ctx, "SELECT id FROM orders") // from
	if err != nil {
		return 0, err
	}
	if rows.Next() {
		err = rows.Scan(&id)
	}
	return id, err
}
