package main

import (
	"context"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"leaktrace.test/targets/behaviour"
)

// A stream per request, of which one message is read and whose context nobody cancels: grpc/grpc-go#2902,
// e2b-dev/infra#2362.
//
// leaks: google.golang.org/grpc.newClientStream
// leaks: google.golang.org/grpc.newClientStreamWithParams
// leaks: google.golang.org/grpc.(*Server).serveStreams.func1
// leaks: google.golang.org/grpc.(*Server).serveStreams.func2
func init() {
	behaviour.Register("grpc_stream_leak", func() {
		address, _ := grpcServer()
		shared := grpcDial(address)
		behaviour.Every(request, func(int) { grpcCall(shared) })
		behaviour.Every(leak, func(int) { firstStatus(shared) })
	})
}

func firstStatus(connection *grpc.ClientConn) {
	client := healthpb.NewHealthClient(connection)
	stream, err := client.Watch(context.Background(), &healthpb.HealthCheckRequest{}) // from
	check(err)
	_, err = stream.Recv()
	complain(err)
}
