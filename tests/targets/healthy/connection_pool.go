package main

import (
	"context"
	"database/sql"
	"time"

	"leaktrace.test/targets/behaviour"
)

// A database used as it should be: rows are closed, and who finds no free connection waits a little.
func init() {
	behaviour.Register("connection_pool", func() {
		orders := sql.OpenDB(behaviour.Database{})
		orders.SetMaxOpenConns(4)
		orders.SetConnMaxLifetime(5 * time.Second)
		behaviour.Every(30*time.Millisecond, func(int) { go query(orders) })
	})
}

func query(orders *sql.DB) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	rows, err := orders.QueryContext(ctx, "SELECT id FROM orders")
	if err != nil {
		return
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		time.Sleep(10 * time.Millisecond)
	}
}
