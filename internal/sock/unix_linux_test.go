package sock

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// Nobody ever sees a mode that is more open than asked, not even for the
// moment between bind and chmod: somebody looks all the time.
func TestModeHoldsFromTheFirstInstant(t *testing.T) {
	path := socketPath(t)
	var seen atomic.Uint32
	var stop atomic.Bool
	var looking sync.WaitGroup
	looking.Go(func() {
		for !stop.Load() {
			var st unix.Stat_t
			if unix.Lstat(path, &st) == nil {
				seen.Store(seen.Load() | st.Mode&0o777)
			}
		}
	})
	withUmask(0, func() {
		for range 300 {
			ls, err := Listen(t.Context(), Address{Path: path}, Config{UnixMode: 0o600})
			if err != nil {
				t.Error(err)
				return
			}
			if err := ls[0].Close(); err != nil {
				t.Error(err)
			}
		}
	})
	stop.Store(true)
	looking.Wait()
	if got := seen.Load(); got != 0o600 {
		t.Errorf("modes seen: %03o, want 600", got)
	}
}

// A server whose queue is full refuses like a dead one; it lives.
func TestBusySocketIsNotStale(t *testing.T) {
	path := socketPath(t)
	fd, err := socket(unix.AF_UNIX)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	at := &unix.SockaddrUnix{Name: path}
	if err := errors.Join(unix.Bind(fd, at), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for {
		caller, err := socket(unix.AF_UNIX)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(caller)
		if err := unix.Connect(caller, at); errors.Is(err, unix.EAGAIN) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	refused(t, path, "listen unix:"+path+": bind: address already in use by a live server")
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("its socket is gone: %v", err)
	}
}

// Linux's abstract names have no file, and no lock beside it.
func TestAbstractName(t *testing.T) {
	t.Chdir(t.TempDir())
	a := Address{Path: "@hubbub-test-" + t.Name()}
	l := listen(t, a)
	dial(t, l)
	acceptFrom(t, l)
	refused(t, a.Path, "listen unix:"+a.Path+": bind: address already in use")
	if _, err := os.Lstat(a.Path + ".lock"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a lock file: %v", err)
	}
}
