// Command load asks an HTTP server: `load ADDRESS CONNECTIONS RATE MILLISECONDS`, with a rate in requests a second, or
// 0 for as fast as it goes. It answers with the requests a second, and p50 and p99 of the latency in microseconds.
//
// With a fifth argument, STEP in milliseconds, it says instead as it goes on how many answers came in each step.
//
// The latency of a request that was due before the answer to the one before it came counts from when it was due.
package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

var (
	request = []byte("GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
	ending  = []byte("\r\n\r\nok\n")
	answers atomic.Int64
)

func main() {
	connections, rate, length := number(2), number(3), time.Duration(number(4))*time.Millisecond
	var pause time.Duration
	if rate > 0 {
		pause = time.Second * time.Duration(connections) / time.Duration(rate)
	}
	latencies := make([][]time.Duration, connections)
	if len(os.Args) > 5 {
		go count(time.Duration(number(5)) * time.Millisecond)
	}
	began := time.Now()
	var group sync.WaitGroup
	for i := range latencies {
		group.Add(1)
		go func() {
			defer group.Done()
			first := began.Add(pause * time.Duration(i) / time.Duration(connections))
			latencies[i] = ask(os.Args[1], first, began.Add(length), pause)
		}()
	}
	group.Wait()
	if len(os.Args) > 5 {
		return
	}
	took := time.Since(began)
	var all []time.Duration
	for _, some := range latencies {
		all = append(all, some...)
	}
	sort.Slice(all, func(a, b int) bool { return all[a] < all[b] })
	fmt.Printf("%.1f %.1f %.1f\n", float64(len(all))/took.Seconds(), percentile(all, 50), percentile(all, 99))
}

func count(step time.Duration) {
	before, last := time.Now(), int64(0)
	for range time.Tick(step) {
		now, all := time.Now(), answers.Load()
		fmt.Printf("%.1f\n", float64(all-last)/now.Sub(before).Seconds())
		before, last = now, all
	}
}

func number(argument int) int {
	value, err := strconv.Atoi(os.Args[argument])
	if err != nil {
		panic(err)
	}
	return value
}

func percentile(sorted []time.Duration, percent int) float64 {
	return float64(sorted[(len(sorted)-1)*percent/100].Nanoseconds()) / 1e3
}

func ask(address string, due, end time.Time, pause time.Duration) []time.Duration {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		panic(err)
	}
	defer connection.Close()
	var latencies []time.Duration
	answer := make([]byte, 4096)
	for free := time.Now(); free.Before(end) && due.Before(end); due = due.Add(pause) {
		from := due
		if pause == 0 {
			from = free
		} else if due.After(free) {
			time.Sleep(due.Sub(free))
			from = time.Now()
		}
		exchange(connection, answer)
		answers.Add(1)
		free = time.Now()
		latencies = append(latencies, free.Sub(from))
	}
	return latencies
}

func exchange(connection net.Conn, answer []byte) {
	if _, err := connection.Write(request); err != nil {
		panic(err)
	}
	for length := 0; !bytes.HasSuffix(answer[:length], ending); {
		n, err := connection.Read(answer[length:])
		if err != nil {
			panic(err)
		}
		length += n
	}
}
