//go:build trixie

package main

import (
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

// pods is an API server with one pod that changes all the time.
var pods = watch.NewBroadcaster(100, watch.DropIfChannelFull)

func changePods(n int) {
	pod := &core.Pod{ObjectMeta: meta.ObjectMeta{Name: "pod", Namespace: "default", ResourceVersion: time.Now().String()}}
	check(pods.Action(watch.Modified, pod))
}

func podInformer() cache.SharedIndexInformer {
	source := &cache.ListWatch{
		ListFunc: func(meta.ListOptions) (runtime.Object, error) {
			return &core.PodList{ListMeta: meta.ListMeta{ResourceVersion: "1"}}, nil
		},
		WatchFunc: func(meta.ListOptions) (watch.Interface, error) { return pods.Watch() },
	}
	informer := cache.NewSharedIndexInformer(source, &core.Pod{}, 30*time.Second, cache.Indexers{})
	must(informer.AddEventHandler(cache.ResourceEventHandlerFuncs{UpdateFunc: func(any, any) {}}))
	return informer
}

func queue() workqueue.TypedRateLimitingInterface[int] {
	return workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[int]())
}

func work(queue workqueue.TypedRateLimitingInterface[int]) {
	for {
		item, shutdown := queue.Get()
		if shutdown {
			return
		}
		queue.Done(item)
	}
}
