//go:build linux

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// floorGather is the floor under everything that comes in: a read for each
// client that has something, a write for each read.
func floorGather() {
	listener, epoll := listenAndWatch()
	join := func(fd int) { must(watch(epoll, fd, fd, unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLET)) }
	events := make([]unix.EpollEvent, 1024)
	buf := make([]byte, 64<<10)
	for {
		for _, event := range bareWait(epoll, events, -1) {
			if event.Fd == tagListener {
				acceptAll(listener, join)
			} else {
				gather(int(event.Fd), buf, event.Events)
			}
		}
	}
}

// gather writes to STDOUT all that one client has sent.
func gather(fd int, buf []byte, events uint32) {
	for {
		n, errno := bareRead(fd, buf)
		switch {
		case errno == unix.EAGAIN:
			return
		case errno == unix.EINTR:
			continue
		case errno != 0 || n == 0:
			bareClose(fd)
			return
		}
		writeAll(1, buf[:n])
		// A short read empties the socket, unless the end of file is behind it.
		if n < len(buf) && events&unix.EPOLLRDHUP == 0 {
			return
		}
	}
}

func writeAll(fd int, p []byte) {
	for len(p) > 0 {
		n, errno := bareWrite(fd, p)
		if errno != 0 && errno != unix.EINTR {
			must(os.NewSyscallError("write", errno))
		}
		if errno == 0 {
			p = p[n:]
		}
	}
}
