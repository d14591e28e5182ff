package main

import (
	"context"
	"io"
	"time"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"leaktrace.test/targets/behaviour"
)

// A stream in both directions for each client, on one connection that all share. The handler reads, a goroutine of its
// own writes, and ends with it. Clients come one by one and stay.
func init() {
	behaviour.Register("grpc_chat_ok", func() {
		address := chatServer()
		shared := grpcDial(address)
		for chatter := 0; chatter < 5; chatter++ {
			behaviour.Every(5*time.Second, func(int) { chatOnce(shared) })
		}
		clients(300, func(int) { chat(shared) })
	})
}

var chatStream = grpc.StreamDesc{
	StreamName: "Chat", Handler: serveGRPCChat, ServerStreams: true, ClientStreams: true,
}

func chatServer() string {
	listener := listen()
	server := grpc.NewServer()
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "chat.Chat", HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{chatStream},
	}, struct{}{})
	go func() { check(server.Serve(listener)) }()
	return listener.Addr().String()
}

func serveGRPCChat(_ any, stream grpc.ServerStream) error {
	answers, ended := make(chan struct{}, 1), make(chan struct{})
	defer close(ended)
	go func() {
		for {
			select {
			case <-answers:
				complain(stream.SendMsg(&healthpb.HealthCheckResponse{}))
			case <-ended:
				return
			}
		}
	}()
	for {
		if err := stream.RecvMsg(&healthpb.HealthCheckRequest{}); err != nil {
			return nil
		}
		answers <- struct{}{}
	}
}

func openChat(ctx context.Context, connection *grpc.ClientConn) grpc.ClientStream {
	stream := must(connection.NewStream(ctx, &chatStream, "/chat.Chat/Chat"))
	check(stream.SendMsg(&healthpb.HealthCheckRequest{}))
	check(stream.RecvMsg(&healthpb.HealthCheckResponse{}))
	return stream
}

func chatOnce(connection *grpc.ClientConn) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	check(openChat(ctx, connection).CloseSend())
}

func chat(connection *grpc.ClientConn) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stream := openChat(ctx, connection)
	for {
		if err := stream.RecvMsg(&healthpb.HealthCheckResponse{}); err == io.EOF {
			return
		}
	}
}
