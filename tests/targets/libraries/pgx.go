package main

import (
	"context"
	"fmt"
	"net"

	"github.com/jackc/pgx/v4/pgxpool"
)

func pgxPool(address net.Addr, most int32) *pgxpool.Pool {
	config := must(pgxpool.ParseConfig(fmt.Sprintf("postgres://user@%s/db?sslmode=disable", address)))
	config.MaxConns, config.ConnConfig.PreferSimpleProtocol = most, true
	return must(pgxpool.ConnectConfig(context.Background(), config))
}

func pgxQuery(pool *pgxpool.Pool) {
	var n int
	complain(pool.QueryRow(context.Background(), "select 7").Scan(&n))
}
