package feed

import (
	"os"

	"golang.org/x/sys/unix"
)

// memory is a sparse file in memory (memfd_create(2)), larger than any log.
// Writing allocates pages; punching holes frees them (fallocate(2)). A page that
// a socket holds after sendfile(2) stays until it is sent.
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

// memoryOf returns the memory of another process's feed, which passed us the file.
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
