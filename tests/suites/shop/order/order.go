// Package order has one function that leaks, and one that does not.
package order

// Started is born before any test, and before main.main.
var Started = make(chan struct{})

func init() {
	go background()
}

func background() {
	<-Started
}

// Price asks for a price in the background; the answer waits for ever unless it is received.
func Price() <-chan int {
	answer := make(chan int)
	go func() {
		answer <- 7
	}()
	return answer
}

// Prices asks through a helper, which starts the goroutines itself.
func Prices(n int) <-chan int {
	all := make(chan int)
	done := make(chan struct{})
	go func() {
		for i := 0; i < n; i++ {
			go send(all, i)
		}
		close(done)
	}()
	<-done
	return all
}

func send(all chan<- int, price int) {
	all <- price
}
