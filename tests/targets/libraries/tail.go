package main

import (
	"io"
	"os"

	"github.com/nxadm/tail"
)

func writeLog(path string) {
	file := must(os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600))
	defer file.Close()
	must(io.WriteString(file, "a line\n"))
}

func tailFile(path string) *tail.Tail {
	return must(tail.TailFile(path, tail.Config{Follow: true, ReOpen: true, Logger: tail.DiscardingLogger}))
}

func readLines(tailed *tail.Tail) {
	for range tailed.Lines {
	}
}
