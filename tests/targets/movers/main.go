// Command movers has goroutines that wait for a long time, and can all be woken, though the only reference to what each
// waits on never keeps still: it goes around on stacks, through channels, maps, slices, timers and finalizers.
//
// Whoever looks at its memory while it runs sees each reference now here, now there, or nowhere.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"leaktrace.test/targets/control"
)

// How many waiters each mover carries, and how many movers of each kind there are.
const (
	carried = 3
	movers  = 2
)

// token is what wakes a waiter. Only one reference to each exists, but for its waiter's.
type token struct {
	channel chan int
	mutex   *sync.Mutex
	cond    *sync.Cond
	_       [32]byte
}

var (
	waiting atomic.Int64
	woken   atomic.Int64
	moves   atomic.Int64
	done    atomic.Bool
)

// newToken starts a waiter in one of three ways.
//
//go:noinline
func newToken(way int) *token {
	t := &token{}
	switch way % 3 {
	case 0:
		t.channel = make(chan int)
		go waitChannel(t.channel)
	case 1:
		room := &struct {
			mutex sync.Mutex
			_     [64]byte
		}{}
		t.mutex = &room.mutex
		t.mutex.Lock()
		go waitMutex(t.mutex)
	case 2:
		t.cond = sync.NewCond(&sync.Mutex{})
		go waitCond(t.cond)
	}
	return t
}

func waitChannel(c chan int) { waiting.Add(1); <-c; woken.Add(1) }

func waitMutex(m *sync.Mutex) { waiting.Add(1); m.Lock(); woken.Add(1) }

func waitCond(c *sync.Cond) { waiting.Add(1); c.L.Lock(); c.Wait(); c.L.Unlock(); woken.Add(1) }

// wake lets the token's waiter go on, now that all is done.
func (t *token) wake() {
	switch {
	case t.channel != nil:
		t.channel <- 1
	case t.mutex != nil:
		t.mutex.Unlock()
	default:
		t.cond.L.Lock()
		t.cond.Signal()
		t.cond.L.Unlock()
	}
}

// moved counts, and says whether to go on.
func moved() bool { moves.Add(1); return !done.Load() }

func tokens() []*token {
	var all []*token
	for i := 0; i < carried; i++ {
		all = append(all, newToken(i))
	}
	return all
}

var kinds = []func(){ring, pingPong, maps, shiftSlice, list, swap, timers, finalizers, deep, channels, registers, pools}

func main() {
	for i := 0; i < movers; i++ {
		for _, kind := range kinds {
			go kind()
		}
	}
	expected := int64(len(kinds) * movers * carried)
	go collect(expected)
	for deadline := time.Now().Add(20 * time.Second); waiting.Load() < expected; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			fmt.Fprintln(os.Stderr, "movers: the waiters do not wait")
			os.Exit(3)
		}
	}
	// The test asks whether all could be woken in the end.
	control.On("wake", func(int) {
		done.Store(true)
		for deadline := time.Now().Add(20 * time.Second); woken.Load() < expected; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				fmt.Fprintf(os.Stderr, "movers: %d of %d woken\n", woken.Load(), expected)
				os.Exit(4)
			}
		}
	})
	control.Serve()
}

// collect makes the garbage collector run all the time, which moves stacks as well and calls finalizers.
func collect(expected int64) {
	for woken.Load() < expected {
		runtime.GC()
		time.Sleep(3 * time.Millisecond)
	}
}

// Tokens go around a ring of goroutines, from stack to stack.
func ring() {
	const size = 5
	var seats [size]chan *token
	for i := range seats {
		seats[i] = make(chan *token)
	}
	for i := range seats {
		go func(in, out chan *token) {
			for t := range in {
				if !moved() {
					t.wake()
					continue
				}
				out <- t
			}
		}(seats[i], seats[(i+1)%size])
	}
	for _, t := range tokens() {
		seats[0] <- t
	}
}

// Two goroutines throw tokens to each other, one way through a buffer and one way without.
func pingPong() {
	there, back := make(chan *token, 8), make(chan *token)
	go func() {
		for t := range there {
			back <- t
		}
	}()
	for _, t := range tokens() {
		there <- t
	}
	for t := range back {
		if !moved() {
			t.wake()
			continue
		}
		there <- t
	}
}

// From one map into another and back; both grow and shrink.
func maps() {
	from, to := map[int]*token{}, map[int]*token{}
	for i, t := range tokens() {
		from[i] = t
	}
	for round := 0; moved(); round++ {
		for key, t := range from {
			delete(from, key)
			to[key+round%97*1000] = t
		}
		if round%64 == 0 {
			from = map[int]*token{}
		}
		from, to = to, from
	}
	for _, t := range from {
		t.wake()
	}
}

// Along a long slice, by copying it over itself, and into another one.
func shiftSlice() {
	slice := make([]*token, 4096)
	copy(slice, tokens())
	for round := 0; moved(); round++ {
		last := slice[len(slice)-1]
		copy(slice[1:], slice[:len(slice)-1])
		slice[0] = last
		if round%100 == 0 {
			slice = append(make([]*token, 0, len(slice)), slice...)
		}
	}
	for _, t := range slice {
		if t != nil {
			t.wake()
		}
	}
}

type node struct {
	token *token
	next  *node
}

// In a list whose nodes are made anew all the time.
func list() {
	var head *node
	for _, t := range tokens() {
		head = &node{t, head}
	}
	for moved() {
		var reversed *node
		for at := head; at != nil; at = at.next {
			reversed = &node{at.token, reversed}
			at.token = nil
		}
		head = reversed
	}
	for at := head; at != nil; at = at.next {
		at.token.wake()
	}
}

// Between boxes, by atomic exchange, from two sides.
func swap() {
	var boxes [8]atomic.Pointer[token]
	for i, t := range tokens() {
		boxes[i].Store(t)
	}
	var group sync.WaitGroup
	for side := 0; side < 2; side++ {
		group.Add(1)
		go func(step int) {
			defer group.Done()
			for i := 0; moved(); i += step {
				t := boxes[i%len(boxes)].Swap(nil)
				for at := i + 1; t != nil; at++ {
					if boxes[at%len(boxes)].CompareAndSwap(nil, t) {
						t = nil
					}
				}
			}
		}(2*side + 1)
	}
	group.Wait()
	for i := range boxes {
		if t := boxes[i].Load(); t != nil {
			t.wake()
		}
	}
}

// From timer to timer, each of which makes the next.
func timers() {
	for _, t := range tokens() {
		passOn(t)
	}
}

func passOn(t *token) {
	time.AfterFunc(time.Duration(moves.Load()%300)*time.Microsecond, func() {
		if !moved() {
			t.wake()
			return
		}
		passOn(t)
	})
}

// From finalizer to finalizer: each object is garbage at once, and its finalizer makes the next.
func finalizers() {
	for _, t := range tokens() {
		abandon(t)
	}
}

func abandon(t *token) {
	o := &[8]*token{t}
	runtime.SetFinalizer(o, func(o *[8]*token) {
		if !moved() {
			go o[0].wake()
			return
		}
		abandon(o[0])
	})
}

// Down a deep recursion, on a stack that is moved as it grows.
func deep() {
	for _, t := range tokens() {
		go func(t *token) {
			for depth := 1; moved(); depth = depth%300 + 7 {
				t = down(t, depth)
			}
			t.wake()
		}(t)
	}
}

//go:noinline
func down(t *token, depth int) *token {
	var room [16]int
	room[depth%16] = depth
	if depth == 0 {
		moved()
		return t
	}
	t = down(t, depth-1)
	if room[depth%16] != depth {
		panic("the stack was damaged")
	}
	return t
}

// Inside of channels inside of channels, while nobody holds them.
func channels() {
	outer := make(chan chan *token, 4)
	for _, t := range tokens() {
		inner := make(chan *token, 1)
		inner <- t
		outer <- inner
	}
	for moved() {
		inner := make(chan *token, 1)
		inner <- <-<-outer
		outer <- inner
	}
	for len(outer) > 0 {
		(<-<-outer).wake()
	}
}

// In local variables only, which are exchanged.
func registers() {
	all := tokens()
	a, b, c := all[0], all[1], all[2]
	all = nil
	for moved() {
		for i := 0; i < 1000; i++ {
			a, b, c = b, c, a
		}
	}
	a.wake()
	b.wake()
	c.wake()
}

// Given back to a free list, taken out again by whoever comes.
func pools() {
	var lock sync.Mutex
	free := []*token{}
	put := func(t *token) { lock.Lock(); free = append(free, t); lock.Unlock() }
	get := func() (t *token) {
		lock.Lock()
		if n := len(free); n > 0 {
			t, free[n-1], free = free[n-1], nil, free[:n-1]
		}
		lock.Unlock()
		return
	}
	for _, t := range tokens() {
		put(t)
	}
	var group sync.WaitGroup
	for worker := 0; worker < 2; worker++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for moved() {
				if t := get(); t != nil {
					runtime.Gosched()
					put(t)
				}
			}
		}()
	}
	group.Wait()
	for t := get(); t != nil; t = get() {
		t.wake()
	}
}
