// Command service is a small order service with a leak that many real ones had: a handler asks a slow backend, gives
// up after a timeout, and the goroutine that carries the answer can then never send it.
//
// It sends itself requests, so that there is something to see.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"leaktrace.test/targets/control"
)

var priceSite = control.NewSite("price")

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	rate := flag.Int("rate", 20, "requests a second that the service sends itself")
	slow := flag.Int("slow", 4, "one request in so many meets a slow backend, and leaks")
	controlled := flag.Bool("control", false, "obey a test on stdin and stdout")
	flag.Parse()

	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		fmt.Fprintln(os.Stderr, "service:", err)
		os.Exit(1)
	}
	http.HandleFunc("/order", (&shop{slow: *slow}).order)
	go func() { _ = http.Serve(listener, nil) }()

	address := "http://" + listener.Addr().String() + "/order"
	if *controlled {
		control.On("order", func(count int) { orderTimes(address, count) })
		control.Serve()
	}
	fmt.Println("serving", address)
	customers(address, *rate)
}

type shop struct {
	slow int
}

func (s *shop) order(w http.ResponseWriter, r *http.Request) {
	var number int
	_, _ = fmt.Sscan(r.URL.Query().Get("n"), &number)
	ctx, cancel := context.WithTimeout(r.Context(), 20*time.Millisecond)
	defer cancel()
	price, err := s.priceWithin(ctx, number)
	if err != nil {
		http.Error(w, err.Error(), http.StatusGatewayTimeout)
		return
	}
	fmt.Fprintln(w, price)
}

// The mistake: `answers` has no buffer, so when nobody waits any more the goroutine stays for ever.
func (s *shop) priceWithin(ctx context.Context, number int) (int, error) {
	answers := make(chan int)
	priceSite.Spawned()
	go func() {
		defer priceSite.Finished()
		answers <- s.askBackend(number)
	}()
	select {
	case price := <-answers:
		return price, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (s *shop) askBackend(number int) int {
	if number%s.slow == 0 {
		time.Sleep(60 * time.Millisecond)
	}
	return number * 100
}

// Sends orders at the rate, until the process is killed.
func customers(address string, rate int) {
	tick := time.NewTicker(time.Second / time.Duration(rate))
	for number := 1; ; number++ {
		<-tick.C
		go order(address, number)
	}
}

func orderTimes(address string, count int) {
	for number := 0; number < count; number++ {
		order(address, number)
	}
}

func order(address string, number int) {
	response, err := http.Get(fmt.Sprintf("%s?n=%d", address, number))
	if err != nil {
		fmt.Fprintln(os.Stderr, "service:", err)
		return
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
}
