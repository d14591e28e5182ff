package main

import "leaktrace.test/targets/behaviour"

// A client connection per request that nobody closes: grpc/grpc-go#944, micro/go-grpc#23.
//
// leaks: google.golang.org/grpc.newCCBalancerWrapper
// leaks: google.golang.org/grpc.newCCResolverWrapper
// leaks: google.golang.org/grpc.(*ccBalancerWrapper).NewSubConn
// leaks: google.golang.org/grpc.(*addrConn).connect
// leaks: google.golang.org/grpc.(*acBalancerWrapper).Connect
// leaks: google.golang.org/grpc.(*ccBalancerWrapper).updateSubConn
// leaks: google.golang.org/grpc.DialContext
// leaks: google.golang.org/grpc.NewClient
// leaks: google.golang.org/grpc/internal/grpcsync.NewCallbackSerializer
// leaks: google.golang.org/grpc/internal/transport.newHTTP2Client
// leaks: google.golang.org/grpc/internal/transport.NewHTTP2Client
// leaks: google.golang.org/grpc/internal/transport.NewServerTransport
// leaks: google.golang.org/grpc/internal/transport.newHTTP2Server
// leaks: google.golang.org/grpc.(*Server).Serve
func init() {
	behaviour.Register("grpc_connection_leak", func() {
		address, _ := grpcServer()
		shared := grpcDial(address)
		behaviour.Every(request, func(int) { grpcCall(shared) })
		behaviour.Every(leak, func(int) {
			own := grpcDial(address) // from
			grpcCall(own)            // from
		})
	})
}
