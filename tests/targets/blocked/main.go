// Package main parks a goroutine on a stack of which one page cannot be read, and that may block whoever tries.
//
// usage: blocked userfaultfd
//
//	blocked file PATH
//	blocked code PATH
//
// With userfaultfd the page is missing, and a userfaultfd is to supply it, which never does. Otherwise it is the first page of the file,
// mapped as data or as code.
package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

const (
	uffdioAPI      = 0xc018aa3f
	uffdioRegister = 0xc020aa00
	pageSize       = 4096
)

//go:noinline
func hold(at chan<- uintptr, never <-chan int) int {
	// The frames of the receive lie right below, in the page that is taken away.
	var room [32768]byte
	at <- uintptr(unsafe.Pointer(&room[0]))
	n := <-never
	return int(room[n]) + n
}

func must(what string, err error) {
	if errno, ok := err.(syscall.Errno); err != nil && (!ok || errno != 0) {
		os.Stderr.WriteString(what + ": " + err.Error() + "\n")
		os.Exit(1)
	}
}

func handOver(page uintptr) {
	number := uintptr(323)
	if runtime.GOARCH == "arm64" {
		number = 282
	}
	fd, _, errno := syscall.Syscall(number, 0, 0, 0)
	must("userfaultfd", errno)
	api := [3]uint64{0xaa, 0, 0}
	_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, uffdioAPI, uintptr(unsafe.Pointer(&api)))
	must("UFFDIO_API", errno)
	register := [4]uint64{uint64(page), pageSize, 1, 0}
	_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, uffdioRegister, uintptr(unsafe.Pointer(&register)))
	must("UFFDIO_REGISTER", errno)
	_, _, errno = syscall.Syscall(syscall.SYS_MADVISE, page, pageSize, syscall.MADV_DONTNEED)
	must("madvise", errno)
}

func cover(page uintptr, path string, protection uintptr) {
	file, err := os.Open(path)
	must("open", err)
	_, _, errno := syscall.Syscall6(syscall.SYS_MMAP, page, pageSize, protection,
		syscall.MAP_PRIVATE|syscall.MAP_FIXED, file.Fd(), 0)
	must("mmap", errno)
}

func main() {
	// The collector would read the page too, and wait for ever.
	debug.SetGCPercent(-1)
	at, never := make(chan uintptr), make(chan int)
	go hold(at, never)
	page := (<-at - 256) &^ (pageSize - 1)
	time.Sleep(100 * time.Millisecond)
	switch os.Args[1] {
	case "userfaultfd":
		handOver(page)
	case "file":
		cover(page, os.Args[2], syscall.PROT_READ)
	case "code":
		cover(page, os.Args[2], syscall.PROT_READ|syscall.PROT_EXEC)
	}
	os.Stdout.WriteString("0x" + strconv.FormatUint(uint64(page), 16) + "\n")
	for {
		time.Sleep(time.Hour)
	}
}
