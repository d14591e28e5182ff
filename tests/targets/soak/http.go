package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"os"
)

// A server that computes for its clients, which are here as well.
func http(int) func(seed uint64) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		refuse(err)
	}
	server := nethttp.NewServeMux()
	server.HandleFunc("/", func(w nethttp.ResponseWriter, r *nethttp.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || len(body) != 8 {
			nethttp.Error(w, "no word", nethttp.StatusBadRequest)
			return
		}
		_ = binary.Write(w, binary.LittleEndian, digest(binary.LittleEndian.Uint64(body), 64))
	})
	go func() { refuse(nethttp.Serve(listener, server)) }()
	address := "http://" + listener.Addr().String()
	return func(seed uint64) {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], seed)
		response, err := nethttp.Post(address, "application/octet-stream", bytes.NewReader(word[:]))
		if err != nil {
			refuse(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil || len(body) != 8 {
			refuse(fmt.Errorf("%d bytes instead of 8: %v", len(body), err))
		}
		verify("http", binary.LittleEndian.Uint64(body), digest(seed, 64))
	}
}

func refuse(err error) {
	fmt.Fprintln(os.Stderr, "soak:", err)
	os.Exit(statusWrong)
}
