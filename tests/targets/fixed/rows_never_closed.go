package main

import (
	"context"
	"database/sql"
	"time"

	"leaktrace.test/targets/behaviour"
)

func init() {
	behaviour.Register("rows_never_closed", func() {
		orders := sql.OpenDB(behaviour.Database{})
		ctx, cancel := context.WithCancel(context.Background())
		stop = cancel
		behaviour.Every(100*time.Millisecond, func(int) { firstOrder(ctx, orders) })
	})
}

var stop context.CancelFunc

func firstOrder(ctx context.Context, orders *sql.DB) (id int, err error) {
	rows, err := orders.QueryContext(ctx, "SELECT id FROM orders")
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }()
	if rows.Next() {
		err = rows.Scan(&id)
	}
	return id, err
}
