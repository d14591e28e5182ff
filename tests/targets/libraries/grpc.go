package main

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// grpcServer serves gRPC's own health service, which has a call and a stream.
func grpcServer() (string, *health.Server) {
	listener := listen()
	server, service := grpc.NewServer(), health.NewServer()
	healthpb.RegisterHealthServer(server, service)
	go func() { check(server.Serve(listener)) }()
	return listener.Addr().String(), service
}

func grpcDial(address string) *grpc.ClientConn {
	return must(grpc.Dial(address, grpc.WithInsecure()))
}

func grpcCall(connection *grpc.ClientConn) {
	_, err := healthpb.NewHealthClient(connection).Check(context.Background(), &healthpb.HealthCheckRequest{})
	complain(err)
}
