package main

import (
	"context"
	"net/http"
	"time"

	"github.com/segmentio/kafka-go"
	"leaktrace.test/targets/behaviour"
)

var httpShared = http.DefaultClient

// A reader per request, of which one message is wanted for a while and that is not closed: segmentio/kafka-go#691,
// segmentio/kafka-go#1083.
//
// leaks: github.com/segmentio/kafka-go.NewReader
// leaks: github.com/segmentio/kafka-go.(*Reader).start
func init() {
	behaviour.Register("kafkago_reader_leak", func() {
		behaviour.Every(leak, func(int) { kafkagoPeek() })
		url := httpServer(hello)
		behaviour.Every(request, func(int) { httpGet(httpShared, url) })
	})
}

func kafkagoPeek() {
	limit, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	reader := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{"127.0.0.1:1"}, Topic: "orders", MaxWait: time.Second})
	_, err := reader.FetchMessage(limit) // from
	_ = err
}
