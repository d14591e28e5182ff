package main

import "leaktrace.test/targets/behaviour"

// A session per call that is never closed: coder/coder#326.
//
// leaks: github.com/hashicorp/yamux.newSession
// leaks: main.yamuxServer.func1
func init() {
	behaviour.Register("yamux_session_leak", func() {
		address := yamuxServer()
		shared := yamuxDial(address)
		behaviour.Every(request, func(int) { yamuxCall(shared) })
		behaviour.Every(leak, func(int) { yamuxCall(yamuxDial(address)) }) // from
	})
}
