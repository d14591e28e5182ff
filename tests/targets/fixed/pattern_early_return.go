package main

import (
	"errors"
	"time"

	"leaktrace.test/targets/behaviour"
)

var errEarly = errors.New("early")

func init() {
	behaviour.Register("pattern_early_return", func() {
		behaviour.Every(100*time.Millisecond, func(n int) {
			if n%2 == 0 {
				_ = load(errEarly)
				return
			}
			_ = load(nil)
		})
	})
}

func load(err error) error {
	loaded, abandoned := make(chan int), make(chan struct{})
	defer close(abandoned)
	go func() {
		select {
		case loaded <- 1:
		case <-abandoned:
		}
	}()
	if err != nil {
		return err
	}
	<-loaded
	return nil
}
