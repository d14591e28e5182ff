package main

import (
	"fmt"

	"gopkg.in/natefinch/lumberjack.v2"
)

func logTo(path string) *lumberjack.Logger {
	logger := &lumberjack.Logger{Filename: path, MaxSize: 1, MaxBackups: 1}
	_, err := fmt.Fprintln(logger, "a line")
	check(err)
	return logger
}
