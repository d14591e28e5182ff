package behaviour

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
)

var errUnsupported = errors.New("not supported")

// Database is the smallest driver of database/sql: every query has ten rows of one number.
type Database struct{}

// Connect opens a connection, of which there are as many as anybody wants.
func (d Database) Connect(context.Context) (driver.Conn, error) { return connection{}, nil }

// Driver returns d.
func (d Database) Driver() driver.Driver { return d }

// Open does the same as Connect.
func (d Database) Open(string) (driver.Conn, error) { return connection{}, nil }

type connection struct{}

func (connection) Prepare(string) (driver.Stmt, error) { return statement{}, nil }
func (connection) Begin() (driver.Tx, error)           { return nil, errUnsupported }
func (connection) Close() error                        { return nil }

type statement struct{}

func (statement) Close() error                               { return nil }
func (statement) NumInput() int                              { return 0 }
func (statement) Exec([]driver.Value) (driver.Result, error) { return nil, errUnsupported }
func (statement) Query([]driver.Value) (driver.Rows, error)  { return &rows{}, nil }

type rows struct{ read int64 }

func (*rows) Columns() []string { return []string{"id"} }
func (*rows) Close() error      { return nil }

func (r *rows) Next(values []driver.Value) error {
	if r.read == 10 {
		return io.EOF
	}
	r.read++
	values[0] = r.read
	return nil
}
