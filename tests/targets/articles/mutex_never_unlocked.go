package main

import (
	"errors"
	"sync"
	"time"

	"leaktrace.test/targets/behaviour"
)

func init() {
	behaviour.Register("mutex_never_unlocked", func() {
		behaviour.Every(100*time.Millisecond, func(n int) { go pay(n) }) // leaks
	})
}

var (
	purse    = &account{balance: 20}
	errEmpty = errors.New("empty")
)

type account struct {
	lock    sync.Mutex
	balance int
}

func pay(int) { _ = purse.withdraw(1) }

// The mistake: the early return forgets to unlock.
func (a *account) withdraw(amount int) error {
	a.lock.Lock() // stuck
	if amount > a.balance {
		return errEmpty
	}
	a.balance -= amount
	a.lock.Unlock()
	return nil
}
