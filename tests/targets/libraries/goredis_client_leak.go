package main

import (
	"gopkg.in/redis.v5"
	"leaktrace.test/targets/behaviour"
)

// A client per request whose pool is never closed: googleapis/mcp-toolbox#3933.
//
// leaks: gopkg.in/redis.v5/internal/pool.NewConnPool
func init() {
	behaviour.Register("goredis_client_leak", func() {
		address := redisServer()
		client := redis.NewClient(&redis.Options{Addr: address})
		behaviour.Every(request, func(int) { complain(client.Get("key").Err()) })
		behaviour.Every(leak, func(int) { goredisOwnClient(address) })
	})
}

func goredisOwnClient(address string) {
	client := redis.NewClient(&redis.Options{Addr: address}) // from
	complain(client.Get("key").Err())
}
