package main

import (
	"fmt"
	"net"
	"os/exec"
	"syscall"
	"time"
)

// freeAddress is a port of this machine that nobody listens on.
func freeAddress() string {
	listener := listen()
	defer listener.Close()
	return listener.Addr().String()
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
