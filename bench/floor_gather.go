//go:build linux

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// floorGather is the floor under everything that comes in: a read for each
// client that has something, a write for each read.
func floorGather() error {
	listener, epoll, err := listenAndWatch()
	if err != nil {
		return err
	}
	join := func(fd int) error {
		return watch(epoll, fd, fd, unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLET)
	}
	events := make([]unix.EpollEvent, 1024)
	buf := make([]byte, 64<<10)
	for {
		for _, event := range bareWait(epoll, events, -1) {
			if event.Fd == tagListener {
				err = acceptAll(listener, join)
			} else {
				err = gather(int(event.Fd), buf, event.Events)
			}
			if err != nil {
				return err
			}
		}
	}
}

// gather writes to STDOUT all that one client has sent.
func gather(fd int, buf []byte, events uint32) error {
	for {
		n, errno := bareRead(fd, buf)
		switch {
		case errno == unix.EAGAIN:
			return nil
		case errno == unix.EINTR:
			continue
		case errno != 0 || n == 0:
			bareClose(fd)
			return nil
		}
		if err := writeAll(1, buf[:n]); err != nil {
			return err
		}
		// A short read empties the socket, unless the end of file is behind it.
		if n < len(buf) && events&unix.EPOLLRDHUP == 0 {
			return nil
		}
	}
}

func writeAll(fd int, p []byte) error {
	for len(p) > 0 {
		n, errno := bareWrite(fd, p)
		if errno != 0 && errno != unix.EINTR {
			return os.NewSyscallError("write", errno)
		}
		if errno == 0 {
			p = p[n:]
		}
	}
	return nil
}
