//go:build linux

package main

import "golang.org/x/sys/unix"

// copier is the floor under everything that goes out.
type copier struct {
	clients []int32 // descriptors, -1 for one that left
	sent    []int32 // of the current piece, by client
	behind  int     // clients that have not got all of the current piece
	ready   int     // epoll of the listener and STDIN
	room    int     // epoll of the clients, for room to send; only asked while some are behind
	events  []unix.EpollEvent
}

const (
	tagListener = -1
	tagStdin    = -2
)

func floorCopy(waitFor, piece int) {
	listener, ready := listenAndWatch()
	c := &copier{ready: ready, room: need(unix.EpollCreate1(unix.EPOLL_CLOEXEC)), events: make([]unix.EpollEvent, 1024)}
	for len(c.clients) < waitFor {
		bareWait(c.ready, c.events, -1)
		acceptAll(listener, c.join)
	}
	c.run(listener, make([]byte, piece))
}

func (c *copier) join(fd int) {
	c.clients = append(c.clients, int32(fd))
	c.sent = append(c.sent, 0)
	must(watch(c.room, fd, len(c.clients)-1, unix.EPOLLOUT|unix.EPOLLET))
}

func (c *copier) run(listener int, piece []byte) {
	// epoll refuses files, which are always ready.
	isFile := watch(c.ready, 0, tagStdin, unix.EPOLLIN) == unix.EPERM
	for {
		if isFile {
			if c.pass(piece) == 0 {
				isFile = false
			}
			continue
		}
		for _, event := range bareWait(c.ready, c.events, -1) {
			if event.Fd == tagListener {
				acceptAll(listener, c.join)
			} else if c.pass(piece) == 0 {
				// End of file. The clients stay.
				_ = unix.EpollCtl(c.ready, unix.EPOLL_CTL_DEL, 0, nil)
			}
		}
	}
}

// pass reads one piece and sends it to each client, all of it to all of them.
func (c *copier) pass(piece []byte) int {
	n, errno := bareRead(0, piece)
	for errno == unix.EINTR {
		n, errno = bareRead(0, piece)
	}
	if errno != 0 {
		return 0
	}
	piece = piece[:n]
	for i := range c.clients {
		c.sent[i] = 0
		c.behind++
		c.send(i, piece)
	}
	for c.behind > 0 {
		for _, event := range bareWait(c.room, c.events, -1) {
			if int(c.sent[event.Fd]) < n {
				c.send(int(event.Fd), piece)
			}
		}
	}
	return n
}

// send sends a client what it lacks of the piece, or what of that it has room for.
func (c *copier) send(i int, piece []byte) {
	rest := piece[c.sent[i]:]
	n, errno := bareSend(int(c.clients[i]), rest)
	switch {
	case errno == unix.EAGAIN:
		return
	case errno != 0:
		c.leave(i)
		n = len(rest)
	}
	c.sent[i] += int32(n)
	if n == len(rest) {
		c.behind--
	}
}

// leave keeps the client's place, so that the tags of the others stay theirs.
func (c *copier) leave(i int) {
	if c.clients[i] >= 0 {
		bareClose(int(c.clients[i]))
	}
	c.clients[i] = -1
}
