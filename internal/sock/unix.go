//go:build unix

package sock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// errLive means that another server listens at the path.
var errLive = errors.New("address already in use by a live server")

// socketFile is a Unix socket's file and its lock file. The holder of the lock
// owns the path. Probing with connect(2) is not enough: a refusal may mean a
// full backlog, and another server may bind between probe and bind.
type socketFile struct {
	path, lockPath string
	lock           *os.File
	device, inode  uint64
}

// listenUnix listens at path. It fails if a live server has the path, replaces a
// stale socket, and never touches a file that is not a socket.
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

// claim takes the lock and removes a stale socket.
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

// takeLock opens and locks the lock file. If the last owner removed the file
// between the two calls, the lock is worthless, and takeLock tries again.
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

// there reports whether a socket is at the path; any other file is an error.
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

// clear removes a stale socket. It connects first, to find a server that takes
// no lock.
func (f *socketFile) clear() error {
	if there, err := f.there(); !there || err != nil {
		return err
	}
	if live(f.path) {
		return fmt.Errorf("bind: %w", errLive)
	}
	return os.Remove(f.path)
}

// live reports whether a server listens at path: anything but a refusal counts.
// It tries a few times, since a full backlog also refuses except on Linux.
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
		time.Sleep(10 * time.Millisecond) //nolint:forbidigo // nothing reports room in another server's queue
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

// bindWithMode binds path and listens. It sets the mode between the two calls: no
// client can connect before listen(2). On Linux the socket's mode before bind(2)
// becomes the file's mode, less the umask; chmod then restores those bits. So the
// file is never more open than asked.
func bindWithMode(fd int, path string, mode fs.FileMode) error {
	if runtime.GOOS == "linux" {
		if err := unix.Fchmod(fd, uint32(mode)); err != nil {
			return os.NewSyscallError("fchmod", err)
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if err := os.Chmod(path, mode); err != nil {
		return err
	}
	return os.NewSyscallError("listen", unix.Listen(fd, backlog))
}

// note records which file is ours.
func (f *socketFile) note() error {
	var st unix.Stat_t
	if err := unix.Lstat(f.path, &st); err != nil {
		return os.NewSyscallError("lstat", err)
	}
	f.device, f.inode = uint64(st.Dev), st.Ino
	return nil
}

// remove removes the lock, and the socket unless another file has replaced it.
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
