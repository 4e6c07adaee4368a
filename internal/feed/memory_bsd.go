//go:build unix && !linux

package feed

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// memory is anonymous memory, since these systems have no memfd: every span is
// sent by send(2).
type memory struct{}

func newMemory() (*memory, error) { return &memory{}, nil }

// memoryOf fails: anonymous memory cannot be passed to another process.
func memoryOf(int) (*memory, error) { return nil, errors.ErrUnsupported }

func (m *memory) file() int { return -1 }

func (m *memory) mapAt(_ int64, n int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	return b, os.NewSyscallError("mmap", err)
}

func (m *memory) drop(_ int64, b []byte) error {
	return os.NewSyscallError("munmap", unix.Munmap(b))
}

func (m *memory) close() error { return nil }
