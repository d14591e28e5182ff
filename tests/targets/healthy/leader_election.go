package main

import (
	"time"

	"leaktrace.test/targets/behaviour"
)

// One candidate leads and renews its lease; the others wait, perhaps for ever.
func init() {
	behaviour.Register("leader_election", func() {
		lease := make(chan struct{}, 1)
		lease <- struct{}{}
		for candidate := 0; candidate < 5; candidate++ {
			go campaign(lease)
		}
	})
}

func campaign(lease chan struct{}) {
	<-lease
	defer func() { lease <- struct{}{} }()
	renew := time.NewTicker(time.Second)
	defer renew.Stop()
	for renewals := 0; renewals < 3600; renewals++ {
		<-renew.C
	}
}
