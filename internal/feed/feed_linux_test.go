package feed

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// What is dropped is given back to the system, page by page, at the beginning
// and past 1 TiB.
func TestDropGivesMemoryBack(t *testing.T) {
	for _, origin := range []int64{0, far} {
		p := newPair(t, small, origin)
		for p.m.head() < origin+small/2 {
			p.message(1000)
		}
		if got, want := p.blocks(), p.inUse(); got != want {
			t.Fatalf("the file has %d bytes in memory, the segments are %d", got, want)
		}
		p.drop(p.m.head())
		if got := p.blocks(); got != p.m.step {
			t.Errorf("the file has %d bytes in memory, the segment that is left is %d", got, p.m.step)
		}
		p.agree()
	}
}

// A feed that runs for long takes no more memory than its limit.
func TestFileStaysWithinTheLimit(t *testing.T) {
	p := newPair(t, small, 0)
	for p.m.head() < 50*small {
		p.message(3000)
		if got := p.blocks(); got > small {
			t.Fatalf("at %d the file has %d bytes in memory, the limit is %d", p.m.head(), got, small)
		}
	}
}

// blocks returns how much memory the file has, in bytes.
func (p *pair) blocks() int64 {
	p.t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(p.f.File(), &st); err != nil {
		p.t.Fatal(err)
	}
	return st.Blocks * 512
}

// inUse returns what the segments are that have been written to.
func (p *pair) inUse() int64 {
	return (p.m.head() - p.m.base + p.m.step - 1) / p.m.step * p.m.step
}

// What a socket holds of the feed from sendfile(2) reaches the peer as it was
// appended, though the feed has dropped it and come far since.
func TestDroppedPagesInASocketStayIntact(t *testing.T) {
	for _, kind := range []struct {
		name string
		pair func(t *testing.T) (from, to int)
	}{{"tcp", tcpPair}, {"unix", unixPair}} {
		t.Run(kind.name, func(t *testing.T) {
			from, to := kind.pair(t)
			p := newPair(t, small, far)
			p.message(small / 4)
			offset := p.m.base
			n, err := unix.Sendfile(from, p.f.File(), &offset, small/4)
			if err != nil || n == 0 {
				t.Fatal(n, err)
			}
			for p.m.base < far+small {
				p.message(4000)
			}
			if got, want := read(t, to, n), p.m.data[:n]; !bytes.Equal(got, want) {
				t.Error("what came is not what was appended")
			}
		})
	}
}

// And what is sent from a dropped range is zeros: why nobody may stand there.
func TestDroppedRangeReadsAsZeros(t *testing.T) {
	p := newPair(t, small, 0)
	p.message(int(p.m.step) + 1)
	p.drop(p.m.head())
	got := pattern(1, int(p.m.step))
	if _, err := unix.Pread(p.f.File(), got, 0); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, make([]byte, len(got))) {
		t.Error("the dropped range is still there")
	}
}

func read(t *testing.T, fd, n int) []byte {
	t.Helper()
	p := make([]byte, n)
	for rest := p; len(rest) > 0; {
		n, err := unix.Read(fd, rest)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			t.Fatalf("read: %d, %v", n, err)
		}
		rest = rest[n:]
	}
	return p
}

func unixPair(t *testing.T) (from, to int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return fds[0], fds[1]
}

func tcpPair(t *testing.T) (from, to int) {
	t.Helper()
	listener, to := tcpSocket(t), tcpSocket(t)
	err := unix.Bind(listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	if err == nil {
		err = unix.Listen(listener, 1)
	}
	at, nameErr := unix.Getsockname(listener)
	if err = errors.Join(err, nameErr); err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(to, at); err != nil {
		t.Fatal(err)
	}
	from, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(from) })
	return from, to
}

func tcpSocket(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}
