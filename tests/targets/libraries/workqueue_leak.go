//go:build trixie

package main

import "leaktrace.test/targets/behaviour"

// A queue per reconciler that is not shut down with it: kubernetes-sigs/controller-runtime#649,
// argoproj/argo-workflows#7493.
//
// leaks: k8s.io/client-go/util/workqueue.newQueue[...]
// leaks: k8s.io/client-go/util/workqueue.newDelayingQueue[...]
// leaks: k8s.io/client-go/util/workqueue.newQueue[go.shape.int]
// leaks: k8s.io/client-go/util/workqueue.newDelayingQueue[go.shape.int]
func init() {
	behaviour.Register("workqueue_leak", func() {
		shared := queue()
		go work(shared)
		behaviour.Every(request, func(n int) { shared.Add(n) })
		behaviour.Every(leak, func(int) { queue().Add(1) }) // from
	})
}
