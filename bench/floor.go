//go:build linux

package main

import (
	"flag"
	"fmt"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// The floors: for each scenario the least a server can do, as bare system calls in
// one thread, without goroutines, and without allocation once the clients are there.
// A floor has no framing, no limits and no rules for slow clients. Like hubbub it
// prints "listening on ADDRESS" on STDERR, reads STDIN and writes STDOUT.
//
//	copy      read STDIN into one buffer, send(2) the buffer to each client
//	gather    read each client, write(2) what it sent to STDOUT
//	hold      accept and keep the descriptor, nothing else
//	listener  accept with a plain net.Listener, keep the net.Conn
//	upgrade   net/http and coder/websocket: accept WebSockets and hold them
//	let-go    net/http: accept WebSockets and hold their descriptors
//	post      net/http: write to STDOUT what is posted

// runFloor returns the process of one floor. It returns only with an error: the harness
// kills it.
func runFloor(args []string) (err error) {
	defer catch(&err)
	// There is nothing to collect.
	debug.SetGCPercent(-1)
	flags := flag.NewFlagSet("floor", flag.ContinueOnError)
	waitFor := flags.Int("wait-for", 0, "clients to wait for before reading STDIN")
	piece := flags.Int("piece", 64<<10, "bytes to read from STDIN at most at once")
	floors := map[string]func(){
		"copy":     func() { floorCopy(*waitFor, *piece) },
		"gather":   floorGather,
		"hold":     floorHold,
		"listener": floorListener,
		"upgrade":  floorUpgrade,
		"let-go":   floorLetGo,
		"post":     floorPost,
	}
	if len(args) == 0 || floors[args[0]] == nil {
		return fmt.Errorf("no floor %q; floors are: copy, gather, hold, listener, upgrade, let-go, post", args)
	}
	must(flags.Parse(args[1:]))
	floors[args[0]]()
	return nil
}

// bareListen opens a listener on a free port of 127.0.0.1 and prints its address.
func bareListen() int {
	fd := need(unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0))
	must(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	must(unix.Listen(fd, 4096))
	fmt.Fprintf(os.Stderr, "listening on 127.0.0.1:%d\n", need(unix.Getsockname(fd)).(*unix.SockaddrInet4).Port)
	return fd
}

// acceptAll accepts all waiting clients and hands each to take. They get TCP_NODELAY,
// like hubbub's.
func acceptAll(listener int, take func(fd int)) {
	for {
		fd, errno := bareAccept(listener)
		switch errno {
		case 0:
		case unix.EAGAIN:
			return
		case unix.EINTR, unix.ECONNABORTED:
			continue
		default:
			must(os.NewSyscallError("accept4", errno))
		}
		must(unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
		take(fd)
	}
}

// listenAndWatch opens a listener and an epoll that watches it.
func listenAndWatch() (listener, epoll int) {
	listener, epoll = bareListen(), need(unix.EpollCreate1(unix.EPOLL_CLOEXEC))
	must(watch(epoll, listener, tagListener, unix.EPOLLIN))
	return listener, epoll
}
