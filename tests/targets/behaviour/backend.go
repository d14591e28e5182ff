package behaviour

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

const backendArgument = "backend"

// The backend ends when this is closed, which the garbage collector would do.
var backendInput io.Closer

// Backend starts an HTTP server in a process of its own, whose goroutines are not ours, and returns its address.
func Backend() string {
	self, err := os.Executable()
	check(err)
	command := exec.Command(self, backendArgument)
	backendInput, err = command.StdinPipe()
	check(err)
	output, err := command.StdoutPipe()
	check(err)
	check(command.Start())
	address, err := bufio.NewReader(output).ReadString('\n')
	check(err)
	return strings.TrimSpace(address)
}

// Serves until stdin ends: our parent holds the other side.
func serveBackend() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Println("http://" + listener.Addr().String())
	go func() {
		_ = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(20 * time.Millisecond)
			_, _ = io.WriteString(w, strings.Repeat("an answer ", 100))
		}))
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
