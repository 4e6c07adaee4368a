//go:build unix

package sock

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"
	"hubbub.example/internal/scene"
)

// Every call returns at once: what cannot be done now is Again, which is
// neither the end of file nor an error.
func TestAgainMeansLater(t *testing.T) {
	eachKind(t, func(t *testing.T, l *Listener) {
		if _, _, err := Accept(l.FD); err != Again {
			t.Errorf("Accept of nobody: %v, want Again", err)
		}
		conn := dial(t, l)
		fd, _ := acceptFrom(t, l)
		buf := make([]byte, 100)
		if n, err := Recv(fd, buf); n != 0 || err != Again {
			t.Errorf("Recv of nothing: %d, %v, want Again", n, err)
		}
		if _, err := conn.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		awaitInput(t, fd)
		if n, err := Recv(fd, buf); string(buf[:n]) != "hello" || err != nil {
			t.Errorf("Recv: %q, %v", buf[:n], err)
		}
		if n, err := Recv(fd, buf); n != 0 || err != Again {
			t.Errorf("Recv of nothing more: %d, %v, want Again", n, err)
		}
		conn.Close()
		awaitInput(t, fd)
		if n, err := Recv(fd, buf); n != 0 || err != io.EOF {
			t.Errorf("Recv at the end: %d, %v, want EOF", n, err)
		}
	})
}

// A peer that takes nothing makes Send say so; when it reads, everything that
// was sent arrives, in order, and nothing else.
func TestFullSocketSaysSo(t *testing.T) {
	eachKind(t, func(t *testing.T, l *Listener) {
		conn := dial(t, l)
		fd, _ := acceptFrom(t, l)
		data := numbers(1 << 20)
		sent := 0
		for {
			n, err := Send(fd, data[sent%len(data):])
			if err == Again {
				break
			}
			if err != nil || n <= 0 {
				t.Fatalf("Send: %d, %v", n, err)
			}
			sent += n
		}
		received := make(chan []byte, 1)
		go func() {
			p := make([]byte, sent)
			_, _ = io.ReadFull(conn, p)
			received <- p
		}()
		awaitReady(t, fd, unix.POLLOUT)
		for rest := <-received; len(rest) > 0; rest = rest[min(len(rest), len(data)):] {
			if part := rest[:min(len(rest), len(data))]; !bytes.Equal(part, data[:len(part)]) {
				t.Fatal("what came is not what was sent")
			}
		}
		if n, err := Send(fd, []byte("x")); n != 1 || err != nil {
			t.Errorf("Send with room: %d, %v", n, err)
		}
	})
}

// Sending to a peer that is gone is an error of the call, and no signal that
// ends the process.
func TestSendToNobodyIsAnError(t *testing.T) {
	eachKind(t, func(t *testing.T, l *Listener) {
		conn := dial(t, l)
		fd, _ := acceptFrom(t, l)
		conn.Close()
		awaitInput(t, fd)
		for range 1000 { // TCP must first hear of it
			_, err := Send(fd, []byte("anybody?"))
			if err == nil {
				awaitReady(t, fd, unix.POLLOUT)
				continue
			}
			var call *os.SyscallError
			if !errors.As(err, &call) || call.Syscall != "send" {
				t.Errorf("the error is %v, want one of send", err)
			}
			return
		}
		t.Error("nobody takes it, and Send does not mind")
	})
}

// EndSending ends one direction: the peer has all, then the end of file, and
// its own words still arrive.
func TestEndSendingEndsOneDirection(t *testing.T) {
	eachKind(t, func(t *testing.T, l *Listener) {
		conn := dial(t, l)
		fd, _ := acceptFrom(t, l)
		if _, err := Send(fd, []byte("goodbye")); err != nil {
			t.Fatal(err)
		}
		if err := EndSending(fd); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(conn); string(got) != "goodbye" || err != nil {
			t.Errorf("the peer has %q, %v", got, err)
		}
		if _, err := conn.Write([]byte("you too")); err != nil {
			t.Fatal(err)
		}
		awaitInput(t, fd)
		buf := make([]byte, 100)
		if n, err := Recv(fd, buf); string(buf[:n]) != "you too" || err != nil {
			t.Errorf("Recv: %q, %v", buf[:n], err)
		}
	})
}

// Reset lets a peer know that the connection broke; what was under way is lost.
func TestResetIsSeen(t *testing.T) {
	l := listen(t, Address{Host: "127.0.0.1"})
	conn := dial(t, l)
	awaitInput(t, l.FD)
	fd, _, err := Accept(l.FD)
	if err != nil {
		t.Fatal(err)
	}
	if err := Reset(fd); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the peer sees %v, want a reset", err)
	}
}

// And a reset by the peer is an error that Recv names.
func TestRecvOfAReset(t *testing.T) {
	l := listen(t, Address{Host: "127.0.0.1"})
	conn := dial(t, l)
	fd, _ := acceptFrom(t, l)
	if err := conn.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	awaitInput(t, fd)
	n, err := Recv(fd, make([]byte, 1))
	if n != 0 || !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("Recv: %d, %v, want a reset", n, err)
	}
	if err := PendingError(fd); err != nil {
		t.Errorf("the error is still pending: %v", err)
	}
}

// A pending error is taken once.
func TestPendingErrorIsTakenOnce(t *testing.T) {
	l := listen(t, Address{Host: "127.0.0.1"})
	conn := dial(t, l)
	fd, _ := acceptFrom(t, l)
	if err := PendingError(fd); err != nil {
		t.Errorf("a fresh connection has %v", err)
	}
	if err := conn.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	awaitReady(t, fd, 0) // POLLERR
	if err := PendingError(fd); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("pending is %v, want a reset", err)
	}
	if err := PendingError(fd); err != nil {
		t.Errorf("it is still pending: %v", err)
	}
}

// What the peer has not acknowledged is counted until it has, on every kind
// of socket. (Where the kernel cannot tell, the hub does without.)
func TestUnackedCounts(t *testing.T) {
	eachKind(t, func(t *testing.T, l *Listener) {
		conn := dial(t, l)
		fd, _ := acceptFrom(t, l)
		if _, err := Unacked(fd); err != nil {
			t.Skip(err)
		}
		awaitUnacked(t, fd, 0)
		sent := fillUp(t, fd)
		if n, err := Unacked(fd); n <= 0 || err != nil {
			t.Errorf("with a full socket, %d bytes are not acknowledged, %v", n, err)
		}
		if _, err := io.CopyN(io.Discard, conn, int64(sent)); err != nil {
			t.Fatal(err)
		}
		awaitUnacked(t, fd, 0)
	})
}

// A connection is nonblocking, and no child process gets it.
func TestAcceptedIsNonblockingFromBirth(t *testing.T) {
	eachKind(t, func(t *testing.T, l *Listener) {
		dial(t, l)
		fd, _ := acceptFrom(t, l)
		for _, fd := range []int{l.FD, fd} {
			mode, err1 := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
			flags, err2 := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
			if err := errors.Join(err1, err2); err != nil {
				t.Fatal(err)
			}
			if mode&unix.O_NONBLOCK == 0 || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("descriptor %d: O_NONBLOCK %v, FD_CLOEXEC %v", fd, mode&unix.O_NONBLOCK != 0, flags&unix.FD_CLOEXEC != 0)
			}
		}
	})
}

// Out of descriptors is an outcome with a name, and the connection still
// waits when there is one again.
func TestOutOfDescriptorsHasAName(t *testing.T) {
	l := listen(t, Address{Host: "127.0.0.1"})
	dial(t, l)
	awaitInput(t, l.FD)
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	none := before
	none.Cur = 3
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	fd, _, err := Accept(l.FD)
	if err2 := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err2 != nil {
		t.Fatal(err2)
	}
	if fd != -1 || err != ErrNoDescriptors {
		t.Errorf("Accept: %d, %v, want ErrNoDescriptors", fd, err)
	}
	acceptFrom(t, l)
}

// Write is for what is no socket.
func TestWriteToAFullPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	conn, err := w.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = conn.Control(func(fd uintptr) {
		n := 0
		block := make([]byte, 4096)
		for {
			m, err := Write(int(fd), block)
			if err == Again {
				break
			}
			if err != nil || m != len(block) {
				t.Fatalf("Write: %d, %v", m, err)
			}
			n += m
		}
		if _, err := io.CopyN(io.Discard, r, int64(n)); err != nil {
			t.Fatal(err)
		}
		if n, err := Write(int(fd), []byte("room")); n != 4 || err != nil {
			t.Errorf("Write with room: %d, %v", n, err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Errors name their system call.
func TestErrorsNameTheirCall(t *testing.T) {
	const nobody = -1
	buf := make([]byte, 1)
	for _, c := range []struct {
		call string
		do   func() error
	}{
		{"accept", func() error { _, _, err := Accept(nobody); return err }},
		{"read", func() error { _, err := Recv(nobody, buf); return err }},
		{"write", func() error { _, err := Write(nobody, buf); return err }},
		{"send", func() error { _, err := Send(nobody, buf); return err }},
		{"shutdown", func() error { return EndSending(nobody) }},
		{"close", func() error { return Close(nobody) }},
		{"getsockopt", func() error { return PendingError(nobody) }},
	} {
		var call *os.SyscallError
		if err := c.do(); !errors.As(err, &call) || call.Syscall != c.call || !errors.Is(err, unix.EBADF) {
			t.Errorf("the error is %v, want that of %s", err, c.call)
		}
	}
}

// eachKind has the scene played on a TCP and on a Unix socket.
func eachKind(t *testing.T, scene func(t *testing.T, l *Listener)) {
	t.Run("tcp", func(t *testing.T) { scene(t, listen(t, Address{Host: "127.0.0.1"})) })
	t.Run("unix", func(t *testing.T) { scene(t, listen(t, Address{Path: socketPath(t)})) })
}

// fillUp sends until the socket takes no more, and says how much it took.
func fillUp(t *testing.T, fd int) (n int) {
	t.Helper()
	for block := make([]byte, 64<<10); ; {
		m, err := Send(fd, block)
		if err == Again {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		n += m
	}
}

// awaitUnacked waits until that many bytes are not acknowledged; there is no
// event for it.
func awaitUnacked(t *testing.T, fd, want int) {
	t.Helper()
	scene.Until(t, "as much is not acknowledged", func() bool {
		n, err := Unacked(fd)
		if err != nil {
			t.Fatal(err)
		}
		return n == want
	})
}

// numbers is bytes that show when one is missing or one too many.
func numbers(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i ^ i>>8*7 ^ i>>16*31)
	}
	return p
}
