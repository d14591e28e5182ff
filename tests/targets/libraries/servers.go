package main

import (
	"fmt"
	"math/rand"
	"net"
	"os/exec"
	"syscall"
	"time"
)

// freeAddress is a port of this machine that nobody listens on.
func freeAddress() string {
	for {
		// Ports from 32768 on are also what connections begin at: one may have it before the server listens.
		address := fmt.Sprint("127.0.0.1:", 10_000+rand.Intn(20_000))
		listener, err := net.Listen("tcp", address)
		if err == nil {
			check(listener.Close())
			return address
		}
	}
}

// startServer runs a server of Debian's, found on PATH, until this program ends, and waits until it listens.
func startServer(address, name string, arguments ...string) {
	server := exec.Command(name, arguments...)
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	check(server.Start())
	go func() { panic(fmt.Sprint(name, " has ended: ", server.Wait())) }()
	for {
		connection, err := net.Dial("tcp", address)
		if err == nil {
			check(connection.Close())
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}
