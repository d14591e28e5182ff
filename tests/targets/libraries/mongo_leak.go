package main

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
	"leaktrace.test/targets/behaviour"
)

// A client per attempt that is dropped when the ping fails, without Disconnect: dapr/components-contrib#3538.
//
// leaks: go.mongodb.org/mongo-driver/x/mongo/driver/topology.(*Server).Connect
// leaks: go.mongodb.org/mongo-driver/x/mongo/driver/topology.(*pool).connect
// leaks: go.mongodb.org/mongo-driver/x/mongo/driver/topology.newPool
// leaks: go.mongodb.org/mongo-driver/x/mongo/driver/topology.(*rttMonitor).connect
func init() {
	behaviour.Register("mongo_client_leak", func() {
		behaviour.Every(leak, func(int) { mongoTry() })
		url := httpServer(hello)
		behaviour.Every(request, func(int) { httpGet(httpShared, url) })
	})
}

func mongoTry() {
	limit, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	client := must(mongo.Connect(limit, options.Client().ApplyURI("mongodb://127.0.0.1:1"))) // from
	if client.Ping(limit, nil) != nil {
		return // The client is forgotten here.
	}
	complain(client.Disconnect(limit))
}
