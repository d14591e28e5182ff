// Package control answers a test's questions about this process on stdin and stdout, one JSON line a command.
//
// The test compares what leaktrace sees from outside with what the runtime and the program's own counters say here.
// When stdin ends, the test is gone and so is the process.
package control

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Site is one `go` statement, with the program's own count of what it started.
type Site struct {
	name     string
	spawned  atomic.Int64
	finished atomic.Int64
	once     sync.Once
	creator  []uintptr
}

var (
	sitesLock sync.Mutex
	sites     []*Site
	commands  = map[string]func(argument string){}
	texts     = map[string]func() string{}
)

// NewSite registers a `go` statement, or finds it again.
func NewSite(name string) *Site {
	sitesLock.Lock()
	defer sitesLock.Unlock()
	for _, site := range sites {
		if site.name == name {
			return site
		}
	}
	site := &Site{name: name}
	sites = append(sites, site)
	return site
}

// Spawned counts a goroutine; call it on the line before the `go` statement, whose stack it notes.
func (s *Site) Spawned() {
	s.spawned.Add(1)
	if notesCreators.Load() {
		s.once.Do(s.noteCreator)
	}
}

// Off while a process starts: the stacks that a test can compare are those from after it attached.
var notesCreators atomic.Bool

//go:noinline
func (s *Site) noteCreator() {
	callers := make([]uintptr, 256)
	// Without Callers, noteCreator, Once's two functions and Spawned, whatever of them is inlined.
	s.creator = callers[:runtime.Callers(0, callers)]
}

// The frames of the first creator that was noted, from the function with the `go` statement outwards.
func (s *Site) creatorFrames() []frameState {
	var all []frameState
	if len(s.creator) == 0 {
		return all
	}
	seen := false
	for frames := runtime.CallersFrames(s.creator); ; {
		frame, more := frames.Next()
		if seen {
			all = append(all, frameState{frame.Function, frame.File, frame.Line})
		}
		seen = seen || strings.HasSuffix(frame.Function, "control.(*Site).Spawned")
		if !more {
			return all
		}
	}
}

// Finished counts the end of a goroutine; defer it in the goroutine.
func (s *Site) Finished() { s.finished.Add(1) }

// On runs action when the test sends the command with a number.
func On(command string, action func(argument int)) {
	OnText(command, func(text string) {
		number, _ := strconv.Atoi(text)
		action(number)
	})
}

// OnText runs action when the test sends the command.
func OnText(command string, action func(argument string)) { commands[command] = action }

// OnStacks answers the command with what text returns, in the form of Stacks.
func OnStacks(command string, text func() string) { texts[command] = text }

type frameState struct {
	Function string `json:"function"`
	File     string `json:"file"`
	Line     int    `json:"line"`
}

type siteState struct {
	Name     string       `json:"name"`
	Spawned  int64        `json:"spawned"`
	Finished int64        `json:"finished"`
	Creator  []frameState `json:"creator,omitempty"`
}

type state struct {
	Pid          int         `json:"pid"`
	GoVersion    string      `json:"go_version"`
	NumGoroutine int         `json:"num_goroutine"`
	Sites        []siteState `json:"sites"`
	Stacks       string      `json:"stacks,omitempty"`
	Error        string      `json:"error,omitempty"`
}

func current() state {
	now := state{Pid: os.Getpid(), GoVersion: runtime.Version(), NumGoroutine: runtime.NumGoroutine()}
	sitesLock.Lock()
	defer sitesLock.Unlock()
	for _, site := range sites {
		// Finished first: read the other way round, a site could show more ends than births.
		finished := site.finished.Load()
		now.Sites = append(now.Sites, siteState{site.name, site.spawned.Load(), finished, site.creatorFrames()})
	}
	return now
}

// Stacks is the debug=2 text of every goroutine; the caller's comes first.
func Stacks() string {
	for size := 1 << 16; ; size *= 2 {
		buffer := make([]byte, size)
		if n := runtime.Stack(buffer, true); n < size {
			return string(buffer[:n])
		}
	}
}

// Settle returns when every goroutine but the caller waits for something, or says which one does not.
func Settle() error {
	_, err := settle()
	return err
}

// Says how many goroutines there are, too. runtime.NumGoroutine would not do: while the garbage collector frees the stacks
// of dead ones, Go 1.25 and later count those as well.
func settle() (int, error) {
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		count, busy := firstBusy(Stacks())
		if busy == "" {
			return count, nil
		}
		if time.Now().After(deadline) {
			return count, fmt.Errorf("still busy: %s", busy)
		}
	}
}

// Counts goroutines, too, up to the one that it finds.
func firstBusy(stacks string) (int, string) {
	headers := 0
	for _, line := range strings.Split(stacks, "\n") {
		if !strings.HasPrefix(line, "goroutine ") || !strings.HasSuffix(line, ":") {
			continue
		}
		headers++
		if headers > 1 && (strings.Contains(line, "[runn") || strings.Contains(line, "[copystack")) {
			return headers, line
		}
	}
	return headers, ""
}

// Serve says that the process is ready, and answers commands until stdin ends.
func Serve() {
	notesCreators.Store(true)
	answer(state{Pid: os.Getpid(), GoVersion: runtime.Version()})
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		answer(obey(lines.Text()))
	}
	os.Exit(0)
}

func obey(line string) state {
	word, argument, _ := strings.Cut(line, " ")
	switch action, known := commands[word]; {
	case known:
		action(argument)
		return current()
	case texts[word] != nil:
		now := current()
		now.Stacks = texts[word]()
		return now
	case word == "state":
		return current()
	case word == "stacks":
		now := current()
		now.Stacks = Stacks()
		return now
	case word == "gc":
		runtime.GC()
		return current()
	case word == "settle":
		count, err := settle()
		now := current()
		now.NumGoroutine = count
		if err != nil {
			now.Error = err.Error()
		}
		return now
	default:
		return state{Error: "unknown command: " + line}
	}
}

func answer(now state) {
	text, err := json.Marshal(now)
	if err != nil {
		panic(err)
	}
	if _, err := fmt.Printf("%s\n", text); err != nil {
		os.Exit(0)
	}
}
