package main

import (
	"context"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sync/errgroup"
	"leaktrace.test/targets/behaviour"
)

// A group of three for each session of a websocket; its handler waits for the group. Clients come one by one and stay.
func init() {
	behaviour.Register("errgroup_session_ok", func() {
		url := websocketServer(func(client *websocket.Conn) { complain(session(client)) })
		clients(300, func(int) { readPump(websocketDial(url)) })
	})
}

func session(client *websocket.Conn) error {
	group, ctx := errgroup.WithContext(context.Background())
	answers := make(chan string)
	group.Go(func() error {
		for {
			_, message, err := client.ReadMessage()
			if err != nil {
				return err
			}
			answers <- string(message)
		}
	})
	group.Go(func() error { return answer(ctx, client, answers) })
	group.Go(func() error {
		<-ctx.Done()
		return client.Close()
	})
	return group.Wait()
}

func answer(ctx context.Context, client *websocket.Conn, answers <-chan string) error {
	pings := time.NewTicker(20 * time.Second)
	defer pings.Stop()
	for {
		select {
		case text := <-answers:
			complain(client.WriteMessage(websocket.TextMessage, []byte(text)))
		case <-pings.C:
			complain(client.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second)))
		case <-ctx.Done():
			return nil
		}
	}
}
