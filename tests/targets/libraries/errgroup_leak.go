package main

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"
	"leaktrace.test/targets/behaviour"
)

// One of a group fails, the consumer goes, and the producers send for ever: jwilder/dockerize#324, dgraph-io/dgraph#3074.
//
// leaks: golang.org/x/sync/errgroup.(*Group).Go
func init() {
	behaviour.Register("errgroup_leak", func() {
		behaviour.Every(request, func(int) { complain(fetchAll(false)) })
		behaviour.Every(leak, func(int) { _ = fetchAll(true) })
	})
}

func fetchAll(fails bool) error {
	group, ctx := errgroup.WithContext(context.Background())
	pages := make(chan int)
	for page := 0; page < 3; page++ {
		group.Go(func() error { // from
			pages <- page // stuck
			return nil
		})
	}
	for page := 0; page < 3; page++ {
		if fails {
			return errors.Join(ctx.Err(), errors.New("the first page is broken"))
		}
		<-pages
		time.Sleep(time.Millisecond)
	}
	return group.Wait()
}
