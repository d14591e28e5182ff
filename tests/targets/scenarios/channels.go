package main

import "leaktrace.test/targets/control"

func init() {
	register("leak_chan_send", leakChanSend)
	register("leak_chan_recv", leakChanRecv)
	register("nil_chan_send", nilChanSend)
	register("nil_chan_recv", nilChanRecv)
	register("select_forever", selectForever)
	register("select_cases", selectCases)
	register("range_chan", rangeChan)
	register("pool", pool)
}

// The classic leak: the receiver gave up, the sender never can.
func leakChanSend(n int) {
	site := control.NewSite("leak_chan_send")
	for i := 0; i < n; i++ {
		results := make(chan int)
		site.Spawned()
		go func() {
			defer site.Finished()
			results <- 1
		}()
	}
}

func leakChanRecv(n int) {
	site := control.NewSite("leak_chan_recv")
	for i := 0; i < n; i++ {
		requests := make(chan string, 4)
		site.Spawned()
		go func() {
			defer site.Finished()
			<-requests
		}()
	}
}

func nilChanSend(n int) {
	site := control.NewSite("nil_chan_send")
	for i := 0; i < n; i++ {
		var never chan int
		site.Spawned()
		go func() {
			defer site.Finished()
			never <- 1
		}()
	}
}

func nilChanRecv(n int) {
	site := control.NewSite("nil_chan_recv")
	for i := 0; i < n; i++ {
		var never chan int
		site.Spawned()
		go func() {
			defer site.Finished()
			<-never
		}()
	}
}

func selectForever(n int) {
	site := control.NewSite("select_forever")
	for i := 0; i < n; i++ {
		site.Spawned()
		go func() {
			defer site.Finished()
			select {}
		}()
	}
}

func selectCases(n int) {
	site := control.NewSite("select_cases")
	for i := 0; i < n; i++ {
		first, second, third := make(chan int), make(chan string), make(chan struct{})
		site.Spawned()
		go func() {
			defer site.Finished()
			select {
			case <-first:
			case second <- "x":
			case <-third:
			}
		}()
	}
}

func rangeChan(n int) {
	site := control.NewSite("range_chan")
	for i := 0; i < n; i++ {
		items := make(chan int)
		site.Spawned()
		go func() {
			defer site.Finished()
			for range items {
			}
		}()
	}
}

// A worker pool: old goroutines that wait and are no leak. `work N` gives it N jobs and waits for them.
func pool(n int) {
	site := control.NewSite("pool")
	jobs, done := make(chan int), make(chan int)
	for i := 0; i < n; i++ {
		site.Spawned()
		go poolWorker(site, jobs, done)
	}
	control.On("work", func(count int) {
		go func() {
			for i := 0; i < count; i++ {
				jobs <- i
			}
		}()
		for i := 0; i < count; i++ {
			<-done
		}
	})
}

func poolWorker(site *control.Site, jobs <-chan int, done chan<- int) {
	defer site.Finished()
	for job := range jobs {
		done <- job
	}
}
