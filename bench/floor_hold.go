//go:build linux

package main

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// floorHold is the floor under a client that does nothing: a descriptor in a
// list. It waits in an ordinary system call: while a raw one lasts, Go's sysmon
// thread never sleeps for long, and idle is what is measured.
func floorHold() {
	listener, epoll := listenAndWatch()
	var held struct{ clients []int32 }
	join := func(fd int) {
		held.clients = append(held.clients, int32(fd))
		must(watch(epoll, fd, fd, unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLET))
	}
	events := make([]unix.EpollEvent, 1024)
	for {
		n, err := unix.EpollWait(epoll, events, -1)
		if err != nil && err != unix.EINTR {
			must(os.NewSyscallError("epoll_wait", err))
		}
		for _, event := range events[:max(n, 0)] {
			if event.Fd == tagListener {
				acceptAll(listener, join)
			}
		}
	}
}

// floorListener accepts the way most Go programs do.
func floorListener() {
	listener := listenAnywhere()
	var held struct{ clients []net.Conn }
	for {
		held.clients = append(held.clients, need(listener.Accept()))
	}
}

// listenAnywhere is bareListen by way of the standard library.
func listenAnywhere() net.Listener {
	listener := need(net.Listen("tcp", "127.0.0.1:0"))
	fmt.Fprintf(os.Stderr, "listening on %s\n", listener.Addr())
	return listener
}
