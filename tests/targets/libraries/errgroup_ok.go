package main

import (
	"context"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"leaktrace.test/targets/behaviour"
)

// Groups with a limit, groups whose members live as long as the service, and ones of very different length.
func init() {
	behaviour.Register("errgroup_ok", func() {
		asked, _ := signal.NotifyContext(context.Background(), os.Interrupt)
		service, ctx := errgroup.WithContext(asked)
		for worker := 0; worker < 30; worker++ {
			service.Go(func() error {
				<-ctx.Done()
				return nil
			})
			time.Sleep(10 * time.Millisecond)
		}
		go func() { complain(service.Wait()) }()
		behaviour.Every(request, func(int) {
			batch := errgroup.Group{}
			batch.SetLimit(4)
			for item := 0; item < 4; item++ {
				batch.Go(func() error { time.Sleep(time.Duration(item) * 5 * time.Millisecond); return nil })
			}
			complain(batch.Wait())
		})
		behaviour.Every(3*time.Second, func(n int) {
			long := errgroup.Group{}
			long.Go(func() error { time.Sleep(time.Duration(20+n%70) * time.Second); return nil })
		})
	})
	behaviour.Register("semaphore_ok", func() {
		slots := semaphore.NewWeighted(4)
		behaviour.Every(20*time.Second, func(int) {
			for job := 0; job < 60; job++ {
				go func() {
					check(slots.Acquire(context.Background(), 1))
					defer slots.Release(1)
					time.Sleep(time.Second)
				}()
			}
		})
	})
}
