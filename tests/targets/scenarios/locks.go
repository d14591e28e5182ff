package main

import (
	"sync"

	"leaktrace.test/targets/control"
)

func init() {
	register("mutex", mutex)
	register("rwmutex_read", rwmutexRead)
	register("rwmutex_write", rwmutexWrite)
	register("waitgroup", waitgroup)
	register("cond", cond)
}

func mutex(n int) {
	site := control.NewSite("mutex")
	held := new(sync.Mutex)
	held.Lock()
	for i := 0; i < n; i++ {
		site.Spawned()
		go func() {
			defer site.Finished()
			held.Lock()
			held.Unlock()
		}()
	}
}

func rwmutexRead(n int) {
	site := control.NewSite("rwmutex_read")
	held := new(sync.RWMutex)
	held.Lock()
	for i := 0; i < n; i++ {
		site.Spawned()
		go func() {
			defer site.Finished()
			held.RLock()
			held.RUnlock()
		}()
	}
}

// All but one wait for the writers' mutex inside; that one waits for the reader. Both are "the write lock".
func rwmutexWrite(n int) {
	site := control.NewSite("rwmutex_write")
	held := new(sync.RWMutex)
	held.RLock()
	for i := 0; i < n; i++ {
		site.Spawned()
		go func() {
			defer site.Finished()
			held.Lock()
			held.Unlock()
		}()
	}
}

func waitgroup(n int) {
	site := control.NewSite("waitgroup")
	never := new(sync.WaitGroup)
	never.Add(1)
	for i := 0; i < n; i++ {
		site.Spawned()
		go func() {
			defer site.Finished()
			never.Wait()
		}()
	}
}

func cond(n int) {
	site := control.NewSite("cond")
	never := sync.NewCond(new(sync.Mutex))
	for i := 0; i < n; i++ {
		site.Spawned()
		go func() {
			defer site.Finished()
			never.L.Lock()
			never.Wait()
			never.L.Unlock()
		}()
	}
}
