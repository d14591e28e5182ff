package main

import (
	"time"

	"leaktrace.test/targets/behaviour"
)

func init() {
	behaviour.Register("full_channel_without_select", func() {
		go writeAudit()
		behaviour.Every(100*time.Millisecond, audit)
	})
}

var (
	auditLog = make(chan int, 8)
	closed   = make(chan struct{})
)

func audit(n int) {
	go func() {
		select {
		case auditLog <- n:
		case <-closed:
		}
	}()
}

func writeAudit() {
	for written := 0; written < 10; written++ {
		<-auditLog
	}
	close(closed)
}
