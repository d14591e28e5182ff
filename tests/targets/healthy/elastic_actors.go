package main

import (
	"time"

	"leaktrace.test/targets/behaviour"
)

// An actor a user, started when the user is first seen; most users have been seen after a while.
func init() {
	behaviour.Register("elastic_actors", func() {
		mailboxes := map[int]chan int{}
		random := 1
		behaviour.Every(50*time.Millisecond, func(n int) {
			random = (random*1103515245 + 12345) & 0x7fffffff
			user := random >> 16 % 40
			if mailboxes[user] == nil {
				mailboxes[user] = make(chan int, 1)
				go act(mailboxes[user])
			}
			mailboxes[user] <- n
		})
	})
}

func act(mailbox <-chan int) {
	for range mailbox {
	}
}
