package main

import (
	"sync"
	"time"

	"leaktrace.test/targets/behaviour"
)

// Every fifth time, two transfers between the same accounts lock them in another order and meet in the middle.
func init() {
	behaviour.Register("lock_order", func() {
		behaviour.Every(400*time.Millisecond, func(n int) {
			one, other := &account{}, &account{}
			accounts = append(accounts, one, other)
			go transfer(one, other) // leaks
			if n%5 == 0 {
				go transfer(other, one) // leaks
			}
		})
	})
}

type account struct {
	balance int
	lock    sync.Mutex
}

var accounts []*account

func transfer(from, to *account) {
	from.lock.Lock()
	defer from.lock.Unlock()
	time.Sleep(50 * time.Millisecond)
	to.lock.Lock() // stuck
	defer to.lock.Unlock()
	from.balance--
	to.balance++
}
