package main

import (
	"errors"
	"sync"
	"time"

	"leaktrace.test/targets/behaviour"
)

func init() {
	behaviour.Register("mutex_never_unlocked", func() {
		behaviour.Every(100*time.Millisecond, func(n int) { go pay(n) })
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

func (a *account) withdraw(amount int) error {
	a.lock.Lock()
	defer a.lock.Unlock()
	time.Sleep(90 * time.Millisecond)
	if amount > a.balance {
		return errEmpty
	}
	a.balance -= amount
	return nil
}
