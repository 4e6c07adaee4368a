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
func floorHold() error {
	listener, epoll, err := listenAndWatch()
	if err != nil {
		return err
	}
	var held struct{ clients []int32 }
	join := func(fd int) error {
		held.clients = append(held.clients, int32(fd))
		return watch(epoll, fd, fd, unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLET)
	}
	events := make([]unix.EpollEvent, 1024)
	for {
		n, err := unix.EpollWait(epoll, events, -1)
		if err != nil && err != unix.EINTR {
			return os.NewSyscallError("epoll_wait", err)
		}
		for _, event := range events[:max(n, 0)] {
			if event.Fd != tagListener {
				continue
			}
			if err := acceptAll(listener, join); err != nil {
				return err
			}
		}
	}
}

// floorListener accepts the way most Go programs do.
func floorListener() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "listening on %s\n", listener.Addr())
	var held struct{ clients []net.Conn }
	for {
		client, err := listener.Accept()
		if err != nil {
			return err
		}
		held.clients = append(held.clients, client)
	}
}
