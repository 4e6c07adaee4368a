package sock

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"hubbub.example/internal/scene"
)

// A signal makes sendfile(2) stop short though there is room. SendFile goes
// on: it says less than all only when the socket will tell of room. Here the
// thread that sends gets signals without end, and whatever is sent arrives.
func TestSendFileGoesOnAfterSignals(t *testing.T) {
	eachKind(t, func(t *testing.T, l *Listener) {
		const total = 32 << 20
		conn := dial(t, l)
		fd, _ := acceptFrom(t, l)
		file, data := memory(t, 1<<20)
		same := make(chan bool, 1)
		go func() { same <- receives(conn, data, total) }()

		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		stop := bombard(unix.Gettid())
		defer stop()
		room := edges(t, fd)
		for sent := 0; sent < total; {
			offset := sent % len(data)
			n, err := SendFile(fd, file, int64(offset), len(data)-offset)
			if err != nil && err != Again {
				t.Fatal(err)
			}
			sent += n
			if n < len(data)-offset {
				room()
			}
		}
		if !<-same {
			t.Error("what came is not what was sent")
		}
	})
}

// receives reports whether total bytes come from conn that are data, over and over.
func receives(conn net.Conn, data []byte, total int) bool {
	buf := make([]byte, 256<<10)
	for got := 0; got < total; {
		n, err := conn.Read(buf[:min(len(buf), len(data)-got%len(data))])
		if err != nil || !bytes.Equal(buf[:n], data[got%len(data):got%len(data)+n]) {
			return false
		}
		got += n
	}
	return true
}

// bombard sends a thread the signal of the runtime's own, on and on.
func bombard(thread int) (stop func()) {
	var stopped atomic.Bool
	var running sync.WaitGroup
	running.Go(func() {
		for !stopped.Load() {
			_ = unix.Tgkill(os.Getpid(), thread, unix.SIGURG)
		}
	})
	return func() { stopped.Store(true); running.Wait() }
}

// edges returns a function that waits until fd tells of room, as a loop does:
// edge triggered.
func edges(t *testing.T, fd int) (await func()) {
	t.Helper()
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(ep) })
	await = func() {
		t.Helper()
		events := make([]unix.EpollEvent, 1)
		for end := time.Now().Add(scene.LongEnough); ; {
			n, err := unix.EpollWait(ep, events, int(scene.LongEnough.Milliseconds()))
			if n == 1 {
				return
			}
			if err != nil && !errors.Is(err, unix.EINTR) || time.Now().After(end) {
				t.Fatalf("the socket does not tell of room: %v", err)
			}
		}
	}
	event := unix.EpollEvent{Events: unix.EPOLLOUT | unix.EPOLLET&0xffffffff, Fd: int32(fd)}
	if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		t.Fatal(err)
	}
	await()
	return await
}

// SendFile begins where it is told to, says how much went, and then Again.
func TestSendFileToAFullSocket(t *testing.T) {
	eachKind(t, func(t *testing.T, l *Listener) {
		conn := dial(t, l)
		fd, _ := acceptFrom(t, l)
		file, data := memory(t, 1<<20)
		if n, err := SendFile(fd, file, 5, 7); n != 7 || err != nil {
			t.Fatalf("SendFile: %d, %v", n, err)
		}
		got := make([]byte, 7)
		if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, data[5:12]) {
			t.Errorf("the peer has %v, %v, want %v", got, err, data[5:12])
		}
		for {
			n, err := SendFile(fd, file, 0, len(data))
			if err == Again && n == 0 {
				break
			}
			if err != nil || n <= 0 {
				t.Fatalf("SendFile: %d, %v", n, err)
			}
		}
		conn.Close()
		scene.Until(t, "the end is noticed", func() bool {
			_, err := SendFile(fd, file, 0, len(data))
			return err != nil && err != Again
		})
	})
}

// A peer that answers is never suspected, however slowly it reads; one from
// which nothing comes back is, for as long as nothing does.
func TestSilenceKnowsWhoAnswers(t *testing.T) {
	l := listen(t, Address{Host: "127.0.0.1"})
	conn := dial(t, l)
	fd, _ := acceptFrom(t, l)
	if s, err := Silence(fd); err != nil || s.Asked {
		t.Fatalf("a fresh connection: %+v, %v", s, err)
	}
	deafen(t, conn, true)
	if _, err := Send(fd, []byte("are you there?")); err != nil {
		t.Fatal(err)
	}
	scene.Until(t, "it is asked", func() bool { return silence(t, fd).Asked })
	scene.Until(t, "the last answer is old", func() bool { return silence(t, fd).LastAck > 300*time.Millisecond })
	deafen(t, conn, false)
	scene.Until(t, "it answers", func() bool { return !silence(t, fd).Asked })
	if s := silence(t, fd); s.LastAck > scene.LongEnough {
		t.Errorf("the last answer is %v old", s.LastAck)
	}
}

func silence(t *testing.T, fd int) Silent {
	t.Helper()
	s, err := Silence(fd)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// deafen makes the peer's kernel drop every segment that comes for conn: its
// cable is pulled.
func deafen(t *testing.T, conn net.Conn, deaf bool) {
	t.Helper()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	drop := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0}
	err2 := raw.Control(func(fd uintptr) {
		if deaf {
			err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop})
		} else {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
		}
	})
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
}

// What is set once, on the listener, is in force on every connection.
func TestConnectionsInheritWhatListenSets(t *testing.T) {
	const bound = 128 << 10
	l := listenWith(t, Address{Host: "127.0.0.1"}, Config{Set: func(fd int, _ bool) error {
		return errors.Join(
			unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
			BoundUnsent(fd, bound),
			SetKeepAlive(fd, 40*time.Second),
		)
	}})
	dial(t, l)
	fd, _ := acceptFrom(t, l)
	for _, o := range []struct {
		name                string
		level, number, want int
	}{
		{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{"TCP_NOTSENT_LOWAT", unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, bound},
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 40},
	} {
		if got, err := unix.GetsockoptInt(fd, o.level, o.number); got != o.want || err != nil {
			t.Errorf("%s is %d, %v, want %d", o.name, got, err, o.want)
		}
	}
}

// A dead peer is gone within twice the period, whatever it is.
func TestKeepAliveEndsWithinTwiceItsPeriod(t *testing.T) {
	fd := stream(t, unix.AF_INET)
	for seconds := 1; seconds <= 7200; seconds += 1 + seconds/10 {
		if err := SetKeepAlive(fd, time.Duration(seconds)*time.Second); err != nil {
			t.Fatal(err)
		}
		idle, err1 := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE)
		interval, err2 := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL)
		count, err3 := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT)
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
		if idle != seconds || idle+interval*count > 2*seconds {
			t.Errorf("%d s: asked after %d s, given up %d×%d s later", seconds, idle, count, interval)
		}
	}
}

// A peer that takes nothing pins no more of the kernel's memory than the
// bound, besides what is on the wire.
func TestUnsentIsBounded(t *testing.T) {
	const bound = 64 << 10
	l := listenWith(t, Address{Host: "127.0.0.1"}, Config{Set: func(fd int, _ bool) error { return BoundUnsent(fd, bound) }})
	dial(t, l)
	fd, _ := acceptFrom(t, l)
	fillUp(t, fd)
	unsent, err := unix.IoctlGetInt(fd, unix.SIOCOUTQNSD)
	if err != nil {
		t.Fatal(err)
	}
	if unsent > 2*bound {
		t.Errorf("%d bytes wait to be sent, the bound is %d", unsent, bound)
	}
}

// The calls of every message cost no memory.
func TestCallsAllocateNothing(t *testing.T) {
	l := listen(t, Address{Host: "127.0.0.1"})
	conn := dial(t, l)
	fd, _ := acceptFrom(t, l)
	file, data := memory(t, 4096)
	buf := make([]byte, len(data))
	if got := testing.AllocsPerRun(200, func() {
		_, _ = Send(fd, data)
		_, _ = SendFile(fd, file, 0, len(data))
		_, _ = Recv(fd, buf)
		_, _ = Unacked(fd)
		_, _ = Silence(fd)
		_, _, _ = Accept(l.FD)
		_, _ = io.ReadFull(conn, buf)
		_, _ = io.ReadFull(conn, buf)
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// memory returns a file of n bytes, and the bytes.
func memory(t *testing.T, n int) (fd int, data []byte) {
	t.Helper()
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	data = numbers(n)
	if m, err := unix.Pwrite(fd, data, 0); m != n {
		t.Fatal(m, err)
	}
	return fd, data
}
