package main

import (
	"fmt"
	"time"

	"github.com/Shopify/sarama"
)

// quiet is what a test would be for the broker of the library's tests.
type quiet struct{}

func (quiet) Error(args ...interface{})            { panic(fmt.Sprint(args...)) }
func (quiet) Errorf(f string, args ...interface{}) { panic(fmt.Sprintf(f, args...)) }
func (quiet) Fatal(args ...interface{})            { panic(fmt.Sprint(args...)) }
func (quiet) Fatalf(f string, args ...interface{}) { panic(fmt.Sprintf(f, args...)) }
func (quiet) Helper()                              {}
func (quiet) Log(...interface{})                   {}
func (quiet) Logf(string, ...interface{})          {}
func (quiet) Cleanup(func())                       {}
func (quiet) TempDir() string                      { return temporary() }
func (quiet) Name() string                         { return "libraries" }

func kafkaBroker() string {
	broker := sarama.NewMockBroker(quiet{}, 1)
	metadata := sarama.NewMockMetadataResponse(quiet{}).SetBroker(broker.Addr(), 1)
	offsets := sarama.NewMockOffsetResponse(quiet{})
	for partition := int32(0); partition < 50; partition++ {
		metadata = metadata.SetLeader("orders", partition, 1)
		offsets = offsets.SetOffset("orders", partition, sarama.OffsetOldest, 0)
		offsets = offsets.SetOffset("orders", partition, sarama.OffsetNewest, 0)
	}
	broker.SetHandlerByMap(map[string]sarama.MockResponse{
		"MetadataRequest": metadata,
		"OffsetRequest":   offsets,
		"ProduceRequest":  sarama.NewMockProduceResponse(quiet{}),
		"FetchRequest":    sarama.NewMockFetchResponse(quiet{}, 1),
	})
	go func() {
		for {
			time.Sleep(time.Minute)
			_ = broker.History()
		}
	}()
	return broker.Addr()
}

func kafkaConfig() *sarama.Config {
	config := sarama.NewConfig()
	config.Producer.Return.Successes = true
	config.Consumer.Return.Errors = false
	config.Consumer.MaxWaitTime = time.Second
	config.Consumer.Retry.Backoff = 3 * time.Second
	config.Metadata.RefreshFrequency = time.Minute
	config.Version = sarama.V0_9_0_1
	return config
}

func kafkaSend(producer sarama.SyncProducer) {
	_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: "orders", Value: sarama.StringEncoder("one")})
	complain(err)
}
