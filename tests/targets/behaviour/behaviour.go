// Package behaviour runs one named behaviour of a program, with its traffic, and shows at its end who is left.
//
// Where a behaviour leaks, its `go` statement says so in a comment, `// leaks`, and the line at which its goroutines
// stay says `// stuck`. Where the `go` statement is not ours, a comment names its function: `// leaks: net/http.x`, and
// the line of ours from which it was reached says `// from`.
package behaviour

import (
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"time"
)

var behaviours = map[string]func(){}

// Register gives a behaviour its name.
func Register(name string, run func()) { behaviours[name] = run }

// Main runs the behaviour that the first argument names. When stdin has a line or ends, it writes the profile of leaked
// goroutines, or where Go has none a list of all, and exits.
func Main() {
	if len(os.Args) == 2 && os.Args[1] == backendArgument {
		serveBackend()
	}
	if len(os.Args) != 2 || behaviours[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "no such behaviour:", os.Args[1:])
		os.Exit(2)
	}
	behaviours[os.Args[1]]()
	fmt.Println("holding")
	_, _ = os.Stdin.Read(make([]byte, 1))
	check(writeGoroutines())
	os.Exit(0)
}

func writeGoroutines() error {
	if leaked := pprof.Lookup("goroutineleak"); leaked != nil {
		return leaked.WriteTo(os.Stdout, 2)
	}
	stacks := make([]byte, 4<<20)
	_, err := os.Stdout.Write(stacks[:runtime.Stack(stacks, true)])
	return err
}

// Every does something at each tick, with the number of the tick, as long as the program runs.
func Every(period time.Duration, something func(n int)) {
	go func() {
		ticker := time.NewTicker(period)
		for n := 0; ; n++ {
			<-ticker.C
			something(n)
		}
	}()
}
