package main

import (
	"github.com/Shopify/sarama"
	"leaktrace.test/targets/behaviour"
)

// A producer per request that nobody closes: IBM/sarama#931, IBM/sarama#2326.
//
// leaks: github.com/Shopify/sarama.withRecover
// leaks: github.com/IBM/sarama.withRecover
// leaks: github.com/Shopify/sarama.NewClient
// leaks: github.com/IBM/sarama.NewClient
// leaks: github.com/Shopify/sarama.NewSyncProducerFromClient
// leaks: github.com/IBM/sarama.NewSyncProducerFromClient
// leaks: github.com/Shopify/sarama.newSyncProducerFromAsyncProducer
// leaks: github.com/IBM/sarama.newSyncProducerFromAsyncProducer
// leaks: github.com/Shopify/sarama.newAsyncProducer
// leaks: github.com/IBM/sarama.newAsyncProducer
// leaks: github.com/Shopify/sarama.(*Broker).Open
// leaks: github.com/IBM/sarama.(*Broker).Open
// leaks: github.com/Shopify/sarama.(*Broker).Open.func1
// leaks: github.com/IBM/sarama.(*Broker).Open.func1
// leaks: github.com/Shopify/sarama.(*asyncProducer).newTopicProducer
// leaks: github.com/IBM/sarama.(*asyncProducer).newTopicProducer
// leaks: github.com/Shopify/sarama.(*asyncProducer).newPartitionProducer
// leaks: github.com/IBM/sarama.(*asyncProducer).newPartitionProducer
// leaks: github.com/Shopify/sarama.(*asyncProducer).newBrokerProducer
// leaks: github.com/IBM/sarama.(*asyncProducer).newBrokerProducer
// leaks: github.com/Shopify/sarama.(*MockBroker).serverLoop
// leaks: github.com/IBM/sarama.(*MockBroker).serverLoop
// leaks: github.com/Shopify/sarama.(*MockBroker).handleRequests
// leaks: github.com/IBM/sarama.(*MockBroker).handleRequests
// leaks: github.com/Shopify/sarama.NewAsyncProducerFromClient
// leaks: github.com/IBM/sarama.NewAsyncProducerFromClient
func init() {
	behaviour.Register("sarama_producer_leak", func() {
		broker := kafkaBroker()
		shared := must(sarama.NewSyncProducer([]string{broker}, kafkaConfig()))
		behaviour.Every(3*request, func(int) { kafkaSend(shared) })
		behaviour.Every(leak, func(int) {
			own := must(sarama.NewSyncProducer([]string{broker}, kafkaConfig())) // from
			kafkaSend(own)                                                       // from
		})
	})
}
