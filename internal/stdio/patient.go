//go:build unix

package stdio

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Patient reads and writes a file that another program which shares it may have
// made nonblocking: it waits where the system says EAGAIN.
type Patient struct{ File *os.File }

func (p Patient) Read(b []byte) (int, error) {
	for {
		n, err := p.File.Read(b)
		if !errors.Is(err, unix.EAGAIN) {
			return n, err
		}
		p.await(unix.POLLIN)
	}
}

func (p Patient) Write(b []byte) (int, error) {
	for n := 0; ; {
		m, err := p.File.Write(b[n:])
		n += m
		if !errors.Is(err, unix.EAGAIN) {
			return n, err
		}
		p.await(unix.POLLOUT)
	}
}

// await waits until the file is ready.
func (p Patient) await(ready int16) {
	if fd, ok := Descriptor(p.File); ok {
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: ready}}, -1)
	}
}
