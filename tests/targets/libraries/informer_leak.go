//go:build trixie

package main

import "leaktrace.test/targets/behaviour"

// An informer per deployment whose stop channel nobody closes: openshift/origin#2869.
//
// leaks: k8s.io/apimachinery/pkg/util/wait.(*Group).Start
// leaks: k8s.io/client-go/tools/cache.(*controller).Run
// leaks: k8s.io/client-go/tools/cache.(*controller).RunWithContext
// leaks: k8s.io/client-go/tools/cache.(*Reflector).watch
// leaks: k8s.io/client-go/tools/cache.(*Reflector).watchWithResync
// leaks: k8s.io/client-go/tools/cache.(*Reflector).ListAndWatch
// leaks: k8s.io/client-go/tools/cache.(*Reflector).ListAndWatchWithContext
// leaks: k8s.io/client-go/tools/cache.(*sharedIndexInformer).RunWithContext
// leaks: k8s.io/client-go/tools/cache.(*sharedProcessor).run
func init() {
	behaviour.Register("informer_leak", func() {
		stop := make(chan struct{})
		go podInformer().Run(stop)
		behaviour.Every(request, changePods)
		behaviour.Every(leak, func(int) {
			never := make(chan struct{})
			go podInformer().Run(never) // leaks
		})
	})
}
