package main

import (
	"net"
	"strings"

	"github.com/jackc/pgproto3/v2"
)

// postgresServer answers every simple query with one row.
func postgresServer() net.Addr {
	listener := listen()
	go func() {
		for {
			go servePostgres(must(listener.Accept()))
		}
	}()
	return listener.Addr()
}

func servePostgres(connection net.Conn) {
	defer connection.Close()
	backend := pgproto3.NewBackend(pgproto3.NewChunkReader(connection), connection)
	if _, err := backend.ReceiveStartupMessage(); err != nil {
		return
	}
	if sendPostgres(connection, &pgproto3.AuthenticationOk{}, &pgproto3.BackendKeyData{ProcessID: 1, SecretKey: 1},
		&pgproto3.ParameterStatus{Name: "standard_conforming_strings", Value: "on"},
		&pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"},
		&pgproto3.ReadyForQuery{TxStatus: 'I'}) != nil {
		return
	}
	for {
		message, err := backend.Receive()
		if err != nil {
			return
		}
		if query, is := message.(*pgproto3.Query); is && sendPostgres(connection, postgresAnswer(query.String)...) != nil {
			return
		}
	}
}

// postgresAnswer is one row for a query, and success for anything else.
func postgresAnswer(query string) []pgproto3.BackendMessage {
	word := strings.ToUpper(strings.Fields(query + " ;")[0])
	switch word {
	case "SELECT":
		return row
	case "BEGIN":
		return []pgproto3.BackendMessage{&pgproto3.CommandComplete{CommandTag: []byte(word)}, &pgproto3.ReadyForQuery{TxStatus: 'T'}}
	case ";":
		return []pgproto3.BackendMessage{&pgproto3.EmptyQueryResponse{}, &pgproto3.ReadyForQuery{TxStatus: 'I'}}
	default:
		return []pgproto3.BackendMessage{&pgproto3.CommandComplete{CommandTag: []byte(word)}, &pgproto3.ReadyForQuery{TxStatus: 'I'}}
	}
}

var row = []pgproto3.BackendMessage{
	&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("n"), DataTypeOID: 23, DataTypeSize: 4, TypeModifier: -1}}},
	&pgproto3.DataRow{Values: [][]byte{[]byte("7")}},
	&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")},
	&pgproto3.ReadyForQuery{TxStatus: 'I'},
}

func sendPostgres(connection net.Conn, messages ...pgproto3.BackendMessage) error {
	var bytes []byte
	for _, message := range messages {
		bytes = message.Encode(bytes)
	}
	_, err := connection.Write(bytes)
	return err
}
