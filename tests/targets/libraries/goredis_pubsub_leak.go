package main

import (
	"fmt"

	"gopkg.in/redis.v5"
	"leaktrace.test/targets/behaviour"
)

// A PubSub per user that is never closed: EduOJ/backend#73, go-redis/redis#1673.
func init() {
	behaviour.Register("goredis_pubsub_leak", func() {
		client := redis.NewClient(&redis.Options{Addr: redisServer(), PoolSize: 1000})
		behaviour.Every(request, func(int) { complain(client.Get("key").Err()) })
		behaviour.Every(leak, func(n int) { goredisListen(client, n) })
	})
}

func goredisListen(client *redis.Client, user int) {
	subscribed, err := client.Subscribe(fmt.Sprint("user.", user))
	check(err)
	go func() { // leaks
		for {
			if _, err := subscribed.ReceiveMessage(); err != nil { // stuck
				return
			}
		}
	}()
}
