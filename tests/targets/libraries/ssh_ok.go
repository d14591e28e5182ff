package main

import (
	"time"

	"leaktrace.test/targets/behaviour"
)

// Tunnels that are opened one by one and kept, each with a session that stays, and commands on one of them.
func init() {
	behaviour.Register("ssh_tunnels_ok", func() {
		address := sshServer()
		shared := sshDial(address)
		behaviour.Every(5*request, func(int) { sshRun(shared) })
		clients(100, func(int) {
			tunnel := sshDial(address)
			defer tunnel.Close()
			session := must(tunnel.NewSession())
			check(session.Shell())
			complain(session.Wait())
		})
		behaviour.Every(arrival, func(n int) {
			short := sshDial(address)
			time.AfterFunc(time.Duration(10+n%40)*time.Second, func() { complain(short.Close()) })
		})
	})
}
