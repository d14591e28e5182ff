package main

import (
	"context"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"leaktrace.test/targets/behaviour"
)

// Clients that come one by one, watch for as long as they stay, and call now and then; and one that does all the rest.
func init() {
	behaviour.Register("grpc_watchers_ok", func() {
		address, service := grpcServer()
		shared := grpcDial(address)
		behaviour.Every(request, func(int) { grpcCall(shared) })
		behaviour.Every(20*time.Second, func(n int) {
			status := healthpb.HealthCheckResponse_SERVING
			if n%2 == 1 {
				status = healthpb.HealthCheckResponse_NOT_SERVING
			}
			service.SetServingStatus("", status)
		})
		clients(200, func(int) { watchHealth(address) })
	})
}

func watchHealth(address string) {
	connection := grpcDial(address)
	defer connection.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stream, err := healthpb.NewHealthClient(connection).Watch(ctx, &healthpb.HealthCheckRequest{})
	check(err)
	for {
		if _, err := stream.Recv(); err != nil {
			return
		}
	}
}
