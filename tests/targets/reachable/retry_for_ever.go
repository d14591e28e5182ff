package main

import (
	"errors"
	"time"

	"leaktrace.test/targets/behaviour"
)

var errDown = errors.New("down")

// Messages for a service that is gone are sent again and again, and new ones come.
func init() {
	behaviour.Register("retry_for_ever", func() {
		behaviour.Every(250*time.Millisecond, func(int) { go deliver() }) // leaks
	})
}

func deliver() {
	for pause := time.Second; send() != nil; {
		time.Sleep(pause) // stuck
		if pause < 8*time.Second {
			pause *= 2
		}
	}
}

func send() error { return errDown }
