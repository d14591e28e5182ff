package main

import "leaktrace.test/targets/behaviour"

// A client per command of which only the session is closed: golang/go#47541, KohlsTechnology/git2consul-go#50.
//
// leaks: golang.org/x/crypto/ssh.NewClient
// leaks: golang.org/x/crypto/ssh.newMux
// leaks: golang.org/x/crypto/ssh.newClientTransport
// leaks: golang.org/x/crypto/ssh.newServerTransport
// leaks: main.sshServer.func1
// leaks: main.serveSSH
func init() {
	behaviour.Register("ssh_client_leak", func() {
		address := sshServer()
		shared := sshDial(address)
		behaviour.Every(5*request, func(int) { sshRun(shared) })
		behaviour.Every(leak, func(int) { sshRun(sshDial(address)) }) // from
	})
}
