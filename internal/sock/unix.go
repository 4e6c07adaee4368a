//go:build unix

package sock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// errLive says that another server has the path.
var errLive = errors.New("address already in use by a live server")

// socketFile is a Unix socket's file and the lock file beside it. A probe by
// connect alone would not do: a refusal may mean a full backlog, and between
// a probe and a bind another server may come. Who holds the lock, owns the path.
type socketFile struct {
	path, lockPath string
	lock           *os.File
	device, inode  uint64
}

// listenUnix listens at path: a live server's socket is refused, a stale one
// replaced, a file that is no socket never touched.
func listenUnix(path string, c Config) (*Listener, error) {
	file := &socketFile{path: path, lockPath: path + ".lock"}
	if path[0] == '@' { // Linux's abstract names have no file
		file = nil
	} else if err := file.claim(); err != nil {
		return nil, err
	}
	fd, err := bindUnix(path, c)
	if err == nil && file != nil {
		err = file.note()
	}
	if err != nil {
		if fd >= 0 {
			unix.Close(fd)
		}
		if file != nil {
			file.unlock()
		}
		return nil, err
	}
	return &Listener{FD: fd, Unix: true, name: "unix:" + path, file: file}, nil
}

// claim takes the lock and clears a stale socket away.
func (f *socketFile) claim() error {
	if _, err := f.there(); err != nil {
		return err
	}
	if err := f.takeLock(); err != nil {
		return err
	}
	err := f.clear()
	if err != nil {
		f.unlock()
	}
	return err
}

// takeLock opens and locks the lock file. Its last owner may have removed it
// between the two calls: then the lock is on nothing, and we begin again.
func (f *socketFile) takeLock() error {
	for {
		lock, err := os.OpenFile(f.lockPath, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return err
		}
		if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			lock.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return fmt.Errorf("bind: %w (it holds %s)", errLive, f.lockPath)
			}
			return os.NewSyscallError("flock", err)
		}
		ours, err1 := lock.Stat()
		there, err2 := os.Lstat(f.lockPath)
		if err1 == nil && err2 == nil && os.SameFile(ours, there) {
			if !ours.Mode().IsRegular() || ours.Size() > 0 {
				lock.Close()
				return fmt.Errorf("bind: %s, where the lock would be, is another's file: choose another path", f.lockPath)
			}
			f.lock = lock
			return nil
		}
		lock.Close()
	}
}

// there says whether a socket is at the path; anything else is an error.
func (f *socketFile) there() (bool, error) {
	info, err := os.Lstat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil && info.Mode()&fs.ModeSocket == 0 {
		err = fmt.Errorf("bind: %s is there and is no socket: choose another path, or remove it yourself", f.path)
	}
	return err == nil, err
}

// clear removes a socket that nobody serves. A server that takes no lock is
// found by connecting to it.
func (f *socketFile) clear() error {
	if there, err := f.there(); !there || err != nil {
		return err
	}
	if live(f.path) {
		return fmt.Errorf("bind: %w", errLive)
	}
	return os.Remove(f.path)
}

// live says whether somebody listens at path: anything but a clear refusal,
// asked a few times, since elsewhere than on Linux a full backlog refuses too.
func live(path string) bool {
	for range 3 {
		fd, err := socket(unix.AF_UNIX)
		if err != nil {
			return true
		}
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
		unix.Close(fd)
		if !errors.Is(err, unix.ECONNREFUSED) {
			return !errors.Is(err, unix.ENOENT)
		}
		time.Sleep(10 * time.Millisecond) //nolint:forbidigo // nothing tells of room in another's queue
	}
	return false
}

func bindUnix(path string, c Config) (int, error) {
	fd, err := socket(unix.AF_UNIX)
	if err != nil {
		return -1, err
	}
	if c.Set != nil {
		if err := c.Set(fd, true); err != nil {
			return fd, err
		}
	}
	if path[0] == '@' {
		return fd, bindListen(fd, &unix.SockaddrUnix{Name: path})
	}
	return fd, bindWithMode(fd, path, c.UnixMode.Perm())
}

// note remembers which file is ours.
func (f *socketFile) note() error {
	var st unix.Stat_t
	if err := unix.Lstat(f.path, &st); err != nil {
		return os.NewSyscallError("lstat", err)
	}
	f.device, f.inode = uint64(st.Dev), st.Ino
	return nil
}

// remove removes the socket, unless another has taken its place, and the lock.
func (f *socketFile) remove() {
	var st unix.Stat_t
	if err := unix.Lstat(f.path, &st); err == nil && uint64(st.Dev) == f.device && st.Ino == f.inode {
		_ = os.Remove(f.path)
	}
	f.unlock()
}

func (f *socketFile) unlock() {
	_ = os.Remove(f.lockPath)
	f.lock.Close()
}
