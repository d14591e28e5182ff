package main

import (
	"github.com/Shopify/sarama"
	"leaktrace.test/targets/behaviour"
)

// One producer, and a consumer for each partition; the partitions are taken one by one, as after a rebalance.
func init() {
	behaviour.Register("sarama_partitions_ok", func() {
		broker := kafkaBroker()
		producer := must(sarama.NewSyncProducer([]string{broker}, kafkaConfig()))
		behaviour.Every(3*request, func(int) { kafkaSend(producer) })
		consumer := must(sarama.NewConsumer([]string{broker}, kafkaConfig()))
		clients(50, func(partition int) {
			messages := must(consumer.ConsumePartition("orders", int32(partition), sarama.OffsetNewest))
			for range messages.Messages() {
			}
		})
	})
}
