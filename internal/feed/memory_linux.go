package feed

import (
	"os"

	"golang.org/x/sys/unix"
)

// memory is a file that exists in memory only (memfd_create(2)), as long as
// any log will ever be: pages come when they are written to and go when they
// are punched out (fallocate(2)). A page that a socket still holds from
// sendfile(2) lives on until it is sent.
type memory struct {
	fd int
}

const fileSize = 1 << 62

func newMemory() (*memory, error) {
	fd, err := unix.MemfdCreate("hubbub-feed", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	if err := unix.Ftruncate(fd, fileSize); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("ftruncate", err)
	}
	return &memory{fd: fd}, nil
}

// memoryOf is the memory of another process's feed, whose file was given to us.
func memoryOf(fd int) (*memory, error) { return &memory{fd: fd}, nil }

func (m *memory) file() int { return m.fd }

func (m *memory) mapAt(offset int64, n int) ([]byte, error) {
	b, err := unix.Mmap(m.fd, offset, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return b, os.NewSyscallError("mmap", err)
}

func (m *memory) drop(offset int64, b []byte) error {
	if err := unix.Munmap(b); err != nil {
		return os.NewSyscallError("munmap", err)
	}
	const how = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
	return os.NewSyscallError("fallocate", unix.Fallocate(m.fd, how, offset, int64(len(b))))
}

func (m *memory) close() error {
	return os.NewSyscallError("close", unix.Close(m.fd))
}
