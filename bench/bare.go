//go:build linux

package main

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls of the floors and of the clients. They are RawSyscalls: they
// bypass Go's scheduler, so they cost what they cost in C. That is allowed because
// none of them sleeps, except bareWait, which may hold a P: neither a floor nor the
// load has another goroutine in a hurry.

func bareSend(fd int, p []byte) (int, syscall.Errno) {
	return bareCall(unix.SYS_SENDTO, fd, p, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

func bareRecv(fd int, p []byte) (int, syscall.Errno) {
	return bareCall(unix.SYS_RECVFROM, fd, p, unix.MSG_DONTWAIT)
}

func bareRead(fd int, p []byte) (int, syscall.Errno) { return bareCall(unix.SYS_READ, fd, p, 0) }

func bareWrite(fd int, p []byte) (int, syscall.Errno) { return bareCall(unix.SYS_WRITE, fd, p, 0) }

func bareCall(call uintptr, fd int, p []byte, flags uintptr) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(call, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0)
	return int(n), errno
}

func bareAccept(listener int) (int, syscall.Errno) {
	fd, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(listener), 0, 0,
		unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	return int(fd), errno
}

func bareClose(fd int) {
	syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}

// bareWait is epoll_wait; a negative wait has no limit. An interruption returns no
// events.
func bareWait(epoll int, events []unix.EpollEvent, wait time.Duration) []unix.EpollEvent {
	timeout := -1
	if wait >= 0 {
		timeout = int(wait / time.Millisecond)
	}
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll),
		uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)),
		uintptr(timeout), 0, 0)
	if errno != 0 {
		return nil
	}
	return events[:n]
}

// watch registers a descriptor; its events carry tag.
func watch(epoll, fd, tag int, events uint32) error {
	return unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(tag)})
}
