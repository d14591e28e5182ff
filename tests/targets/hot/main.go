// Command hot writes a CPU profile in which channel operations are hot, so that a build with it inlines gopark.
package main

import (
	"os"
	"runtime/pprof"
	"sync"
	"time"
)

func main() {
	output, err := os.Create(os.Args[1])
	if err != nil {
		panic(err)
	}
	if err := pprof.StartCPUProfile(output); err != nil {
		panic(err)
	}
	churn(3 * time.Second)
	pprof.StopCPUProfile()
	if err := output.Close(); err != nil {
		panic(err)
	}
}

func churn(length time.Duration) {
	var group sync.WaitGroup
	for i := 0; i < 4; i++ {
		ping, pong, quit := make(chan int), make(chan int), make(chan int)
		group.Add(2)
		go func() {
			defer group.Done()
			for value := range ping {
				select {
				case pong <- value:
				case <-quit:
				}
			}
			close(pong)
		}()
		go func() {
			defer group.Done()
			for end := time.Now().Add(length); time.Now().Before(end); {
				for value := 0; value < 1000; value++ {
					ping <- value
					<-pong
				}
				started := make(chan int)
				go func() { started <- 1 }()
				<-started
			}
			close(ping)
		}()
	}
	group.Wait()
}
