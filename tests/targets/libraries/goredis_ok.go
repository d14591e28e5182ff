package main

import (
	"fmt"
	"time"

	"gopkg.in/redis.v5"
	"leaktrace.test/targets/behaviour"
)

// Users who stay for a minute or two, each with a PubSub that is closed when they go.
func init() {
	behaviour.Register("goredis_users_ok", func() {
		client := redis.NewClient(&redis.Options{Addr: redisServer(), PoolSize: 1000})
		behaviour.Every(request, func(int) { complain(client.Get("key").Err()) })
		behaviour.Every(arrival, func(n int) {
			subscribed, err := client.Subscribe(fmt.Sprint("user.", n))
			check(err)
			time.AfterFunc(time.Duration(40+n%50)*time.Second, func() { complain(subscribed.Close()) })
			go func() {
				for {
					if _, err := subscribed.ReceiveMessage(); err != nil {
						return
					}
				}
			}()
		})
	})
}
