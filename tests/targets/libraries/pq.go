package main

import (
	"database/sql"
	"fmt"
	"net"
	"time"

	"github.com/lib/pq"
)

func pqURL(address net.Addr) string {
	return fmt.Sprintf("postgres://user@%s/db?sslmode=disable", address)
}

func pqQuery(db *sql.DB) {
	var n int
	complain(db.QueryRow("select 7").Scan(&n))
}

func pqListen(address net.Addr, channel string) *pq.Listener {
	listener := pq.NewListener(pqURL(address), time.Second, time.Minute, nil)
	go func() { complain(listener.Listen(channel)) }()
	return listener
}
