package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
)

// redisServer speaks as much of Redis's protocol as the clients here need: PING, GET, SUBSCRIBE and UNSUBSCRIBE.
func redisServer() string {
	listener := listen()
	go func() {
		for {
			go serveRedis(must(listener.Accept()))
		}
	}()
	return listener.Addr().String()
}

func serveRedis(connection net.Conn) {
	defer connection.Close()
	in, write := bufio.NewReader(connection), sync.Mutex{}
	for {
		words, err := redisCommand(in)
		if err != nil {
			return
		}
		write.Lock()
		_, err = io.WriteString(connection, redisAnswer(words))
		write.Unlock()
		if err != nil {
			return
		}
	}
}

func redisCommand(in *bufio.Reader) ([]string, error) {
	count, err := redisNumber(in)
	words := make([]string, 0, max(count, 0))
	for ; count > 0 && err == nil; count-- {
		var length int
		if length, err = redisNumber(in); err != nil {
			break
		}
		word := make([]byte, length+2)
		_, err = io.ReadFull(in, word)
		words = append(words, string(word[:length]))
	}
	return words, err
}

func redisNumber(in *bufio.Reader) (int, error) {
	line, err := in.ReadString('\n')
	if err != nil || len(line) < 4 {
		return 0, io.ErrUnexpectedEOF
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}

func redisAnswer(words []string) string {
	command := strings.ToLower(words[0])
	switch command {
	case "subscribe", "unsubscribe":
		var answer strings.Builder
		for number, channel := range words[1:] {
			fmt.Fprintf(&answer, "*3\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n:%d\r\n", len(command), command, len(channel), channel, number+1)
		}
		return answer.String()
	case "get":
		return "$5\r\nvalue\r\n"
	case "ping":
		return "+PONG\r\n"
	default:
		return "+OK\r\n"
	}
}
