package main

import (
	"fmt"
	"time"

	"github.com/gomodule/redigo/redis"
	"leaktrace.test/targets/behaviour"
)

// Subscribers that come one by one and stay, each with a connection of its own, and a pool for the rest.
func init() {
	behaviour.Register("redigo_subscribers_ok", func() {
		pool := redigoPool()
		behaviour.Every(request, func(int) { redigoGet(pool) })
		clients(200, func(user int) {
			own := redis.PubSubConn{Conn: pool.Get()}
			defer own.Close()
			check(own.Subscribe(fmt.Sprint("user.", user)))
			for {
				if err, failed := own.Receive().(error); failed {
					complain(err)
					return
				}
			}
		})
	})
	behaviour.Register("redigo_burst_ok", func() {
		pool := redigoPool()
		behaviour.Every(10*time.Second, func(int) {
			for worker := 0; worker < 40; worker++ {
				go func() {
					for get := 0; get < 5; get++ {
						redigoGet(pool)
						time.Sleep(time.Second)
					}
				}()
			}
		})
	})
}
