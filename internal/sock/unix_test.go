//go:build unix

package sock

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// A server that ends leaves nothing behind.
func TestCloseRemovesSocketAndLock(t *testing.T) {
	path := socketPath(t)
	ls, err := Listen(t.Context(), Address{Path: path}, Config{UnixMode: 0o600})
	if err != nil {
		t.Fatal(err)
	}
	if got := ls[0].String(); got != "unix:"+path || !ls[0].Unix {
		t.Errorf("listening on %q, Unix is %v", got, ls[0].Unix)
	}
	dial(t, ls[0])
	acceptFrom(t, ls[0])
	if err := ls[0].Close(); err != nil {
		t.Fatal(err)
	}
	nothingIsLeft(t, path)
}

// What a server leaves that was killed, its socket and its lock file, is in
// nobody's way.
func TestStaleSocketIsReplaced(t *testing.T) {
	path := socketPath(t)
	abandon(t, path)
	if err := os.WriteFile(path+".lock", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l := listen(t, Address{Path: path})
	dial(t, l)
	acceptFrom(t, l)
}

// A live server keeps its path, whether it takes locks or not, and goes on.
func TestLiveSocketIsRefused(t *testing.T) {
	ours := socketPath(t)
	l := listen(t, Address{Path: ours})
	refused(t, ours, "listen unix:"+ours+": bind: address already in use by a live server (it holds "+ours+".lock)")
	dial(t, l)
	acceptFrom(t, l)

	theirs := socketPath(t)
	stranger, err := net.Listen("unix", theirs)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	refused(t, theirs, "listen unix:"+theirs+": bind: address already in use by a live server")
	dialAt(t, "unix", theirs)
	if _, err := os.Lstat(theirs + ".lock"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a lock file stays beside it: %v", err)
	}
}

// A file that is no socket is never touched, nor what a link leads to.
func TestNoSocketIsNeverTouched(t *testing.T) {
	folder := t.TempDir()
	file, link, dir := filepath.Join(folder, "file"), filepath.Join(folder, "link"), filepath.Join(folder, "dir")
	if err := os.WriteFile(file, []byte("dear diary"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Symlink(file, link), os.Mkdir(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link, dir} {
		before, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		refused(t, path, "listen unix:"+path+": bind: "+path+" is there and is no socket: choose another path, or remove it yourself")
		if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) || after.ModTime() != before.ModTime() {
			t.Errorf("%s is not what it was: %v, %v", path, after, err)
		}
	}
	if text, err := os.ReadFile(file); string(text) != "dear diary" {
		t.Errorf("the file holds %q, %v", text, err)
	}
	if left, err := os.ReadDir(folder); len(left) != 3 {
		t.Errorf("the folder has %v, %v", left, err)
	}
}

// What stands where the lock would be, and is no lock, is somebody's: it is
// left as it is, whether the path itself is free or not.
func TestAnothersFileIsNoLock(t *testing.T) {
	for taken, says := range map[bool]string{
		false: ".lock, where the lock would be, is another's file: choose another path",
		true:  " is there and is no socket: choose another path, or remove it yourself",
	} {
		path := filepath.Join(t.TempDir(), "s")
		if err := os.WriteFile(path+".lock", []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		if taken {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		refused(t, path, "listen unix:"+path+": bind: "+path+says)
		if got, err := os.ReadFile(path + ".lock"); err != nil || string(got) != "mine" {
			t.Errorf("the file is now %q, %v", got, err)
		}
	}
}

// A lock file may not lead elsewhere: the folder may be everybody's.
func TestLockDoesNotFollowLinks(t *testing.T) {
	path := socketPath(t)
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.Symlink(elsewhere, path+".lock"); err != nil {
		t.Fatal(err)
	}
	refused(t, path, "")
	if _, err := os.Lstat(elsewhere); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the lock was made at the link's end: %v", err)
	}
}

// Who finds another's socket at its path when it ends leaves it there.
func TestOnlyOurOwnSocketIsRemoved(t *testing.T) {
	path := socketPath(t)
	ls, err := Listen(t.Context(), Address{Path: path}, Config{UnixMode: 0o600})
	if err != nil {
		t.Fatal(err)
	}
	// The file of ours goes on elsewhere, so that its number is not used again.
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	abandon(t, path)
	if err := ls[0].Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("another's socket is gone: %v", err)
	}
}

// The mode is what was asked for, whatever the umask says.
func TestModeIsAsAsked(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o777} {
		for _, mode := range []fs.FileMode{0o600, 0o660, 0o666} {
			path := socketPath(t)
			withUmask(umask, func() { listenWith(t, Address{Path: path}, Config{UnixMode: mode}) })
			if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != mode {
				t.Errorf("umask %03o, mode %03o: %v, %v", umask, mode, info.Mode(), err)
			}
		}
	}
}

// Of those that claim a path at once one wins, with a stale socket there and
// without, and the others take nothing from it.
func TestOneClaimantWins(t *testing.T) {
	path := socketPath(t)
	for round := range 100 {
		if round%2 == 0 {
			abandon(t, path)
		}
		won := claim(t, path, 4)
		if len(won) != 1 {
			t.Fatalf("round %d: %d claimants won", round, len(won))
		}
		dialAt(t, "unix", path).Close()
		fd, _, err := Accept(won[0].FD)
		if err != nil {
			t.Fatalf("round %d: who connects does not come to the winner: %v", round, err)
		}
		unix.Close(fd)
		if err := won[0].Close(); err != nil {
			t.Fatal(err)
		}
		nothingIsLeft(t, path)
	}
}

// claim lets so many listen at path at once, and returns those that could.
func claim(t *testing.T, path string, claimants int) (won []*Listener) {
	t.Helper()
	var mu sync.Mutex
	var running sync.WaitGroup
	start := make(chan struct{})
	for range claimants {
		running.Go(func() {
			<-start
			ls, err := Listen(t.Context(), Address{Path: path}, Config{UnixMode: 0o600})
			if err != nil && !errors.Is(err, errLive) {
				t.Errorf("a claimant that lost was told: %v", err)
			}
			mu.Lock()
			won = append(won, ls...)
			mu.Unlock()
		})
	}
	close(start)
	running.Wait()
	return won
}

// One server after the other has the path, each coming while the one before
// goes, and never are there two.
func TestPathHasOneOwnerAtATime(t *testing.T) {
	const servers, turns = 4, 25
	path := socketPath(t)
	var owners atomic.Int32
	var running sync.WaitGroup
	for range servers {
		running.Go(func() {
			for turn := 0; turn < turns; {
				ls, err := Listen(t.Context(), Address{Path: path}, Config{UnixMode: 0o600})
				if errors.Is(err, errLive) {
					runtime.Gosched()
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if owners.Add(1) != 1 {
					t.Error("two have the path")
				}
				turn++
				owners.Add(-1)
				if err := ls[0].Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	nothingIsLeft(t, path)
}

// The longest path there may be can be listened on.
func TestLongestPathWorks(t *testing.T) {
	t.Chdir(t.TempDir())
	l := listen(t, Address{Path: strings.Repeat("x", maxPath)})
	dial(t, l)
	acceptFrom(t, l)
}

// A folder that is not there is named.
func TestMissingFolderIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "no", "hub")
	_, err := Listen(t.Context(), Address{Path: path}, Config{UnixMode: 0o600})
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "listen unix:"+path+": ") {
		t.Errorf("the error is %v", err)
	}
}

// socketPath returns a path for a socket, short enough for any system.
func socketPath(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "hub") //nolint:usetesting // its own has the test's name, and may be too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	return filepath.Join(folder, "s")
}

// abandon leaves a socket at path that nobody serves.
func abandon(t *testing.T, path string) {
	t.Helper()
	fd, err := socket(unix.AF_UNIX)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := bindListen(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
}

// refused checks that nobody can listen at path, and what it says.
func refused(t *testing.T, path, want string) {
	t.Helper()
	ls, err := Listen(t.Context(), Address{Path: path}, Config{UnixMode: 0o600})
	closeAll(t, ls)
	if err == nil || want != "" && err.Error() != want {
		t.Errorf("the error is %v, want %s", err, want)
	}
}

func nothingIsLeft(t *testing.T, path string) {
	t.Helper()
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 0 {
		t.Fatalf("there is still %v, %v", left, err)
	}
}

func withUmask(mask int, f func()) {
	before := unix.Umask(mask)
	defer unix.Umask(before)
	f()
}
