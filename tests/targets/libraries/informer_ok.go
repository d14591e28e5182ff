//go:build trixie

package main

import (
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"leaktrace.test/targets/behaviour"
)

// Informers for the life of the program, which come one by one, and others that are stopped after a while.
func init() {
	behaviour.Register("informers_ok", func() {
		behaviour.Every(request, changePods)
		clients(40, func(int) { podInformer().Run(wait.NeverStop) })
		behaviour.Every(arrival, func(n int) {
			stop := make(chan struct{})
			go podInformer().Run(stop)
			time.AfterFunc(time.Duration(20+n%40)*time.Second, func() { close(stop) })
		})
	})
}
