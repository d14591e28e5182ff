package main

import (
	"fmt"

	"github.com/gomodule/redigo/redis"
	"leaktrace.test/targets/behaviour"
)

// A receiver for each watcher that nobody stops: gomodule/redigo#464.
func init() {
	behaviour.Register("redigo_pubsub_leak", func() {
		pool := redigoPool()
		behaviour.Every(request, func(int) { redigoGet(pool) })
		behaviour.Every(leak, func(n int) { redigoWatch(pool, n) })
	})
}

func redigoPool() *redis.Pool {
	address := redisServer()
	return &redis.Pool{MaxIdle: 3, Dial: func() (redis.Conn, error) { return redis.Dial("tcp", address) }}
}

func redigoGet(pool *redis.Pool) {
	connection := pool.Get()
	defer connection.Close()
	_, err := connection.Do("GET", "key")
	complain(err)
}

func redigoWatch(pool *redis.Pool, n int) {
	subscribed := redis.PubSubConn{Conn: pool.Get()}
	check(subscribed.Subscribe(fmt.Sprint("job.", n)))
	done := make(chan []byte)
	go func() { // leaks
		for {
			switch message := subscribed.Receive().(type) { // stuck
			case redis.Message:
				done <- message.Data
			case error:
				return
			}
		}
	}()
	select {
	case <-done:
	default: // Nobody waits for the result any more.
	}
}
