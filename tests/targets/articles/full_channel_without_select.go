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

var auditLog = make(chan int, 8)

// The mistake: who sends does not reckon with a reader that gives up.
func audit(n int) {
	go func() { // leaks
		auditLog <- n // stuck
	}()
}

func writeAudit() {
	for written := 0; written < 10; written++ {
		<-auditLog
	}
}
