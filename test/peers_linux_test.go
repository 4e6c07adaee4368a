package hubbub_test

// What the kernel knows of the hub's descriptors and connections: options,
// flags, and peers that are gone without a word or only look so.

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/scene"

	"hubbub.example"
)

// ourEnd returns the hub's descriptor of the connection to a client. The hub is in
// this process, so it is among ours.
func ourEnd(t *testing.T, client string) int {
	t.Helper()
	at := netip.MustParseAddrPort(client)
	for _, fd := range descriptors(t) {
		sa, err := unix.Getpeername(fd)
		if in4, ok := sa.(*unix.SockaddrInet4); err == nil && ok && in4.Port == int(at.Port()) && in4.Addr == at.Addr().As4() {
			return fd
		}
	}
	t.Fatalf("the hub has no connection to %s", client)
	return -1
}

// descriptors returns all that this process has open.
func descriptors(t *testing.T) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var fds []int
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		// The one that the folder was read by is closed again.
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			fds = append(fds, fd)
		}
	}
	return fds
}

// Small messages go out at once, unless the user wants them gathered. A Unix
// socket has no such option, and is served all the same.
func TestNoDelayUnlessUnset(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		options []string
		want    int
	}{
		{nil, 1},
		{[]string{"TCP_NODELAY=1"}, 1},
		{[]string{"TCP_NODELAY=0"}, 0},
	} {
		s := open(t, hubbub.Options{SocketOptions: c.options})
		fd := ourEnd(t, s.client().LocalAddr().String())
		if got, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY); err != nil || got != c.want {
			t.Errorf("with %v TCP_NODELAY is %d (%v), want %d", c.options, got, err, c.want)
		}
		at, err := s.Listen(unixAddress(t))
		if err != nil {
			t.Fatal(err)
		}
		p := dial(t, at[0].String())
		s.has(2)
		s.says("hello")
		p.Hears("hello\n")
	}
}

// Every descriptor of the hub's closes on exec: no program that is started
// beside it keeps a client's connection open. (Not parallel: only what is new
// is looked at.)
func TestDescriptorsCloseOnExec(t *testing.T) {
	source, theirs := scene.SocketPair(t)
	before := descriptors(t)
	s := open(t, hubbub.Options{Loops: 2})
	path, err := s.Listen(unixAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	p := s.client()
	dial(t, path[0].String())
	s.has(2)
	reading := begins(func() error { return s.BroadcastFrom(patient(t), source) })
	_, _ = theirs.WriteString("hello\n")
	p.Hears("hello\n")

	var kinds []string
	for _, fd := range descriptors(t) {
		name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		if err != nil || slices.Contains(before, fd) {
			continue
		}
		kind, _, _ := strings.Cut(name, ":[")
		if kind == "anon_inode" {
			kind = name
		}
		kinds = append(kinds, kind)
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d, %s, survives exec (%v)", fd, name, err)
		}
	}
	for kind, least := range map[string]int{
		"anon_inode:[eventpoll]":       2,
		"anon_inode:[eventfd]":         2,
		"/memfd:hubbub-feed (deleted)": 1,
		"/dev/null":                    1, // the reserve
		"socket":                       2 + 2*2 + 1,
	} {
		n := 0
		for _, k := range kinds {
			if k == kind {
				n++
			}
		}
		if n < least {
			t.Errorf("there are %d of %s among %v, want %d: the scene has changed", n, kind, kinds, least)
		}
	}
	_ = theirs.Close()
	if err := reading(); err != nil {
		t.Error(err)
	}
}

// A peer that is there but does not read, for more than twice KeepAlive and
// with much outstanding, answers the kernel's probes, and is not taken for
// dead. Nor is one that is merely silent.
func TestAPeerThatPausesLives(t *testing.T) {
	t.Parallel()
	const size, n = 1000, 2000
	s := open(t, hubbub.Options{KeepAlive: time.Second})
	pauses, silent := s.narrowClient(), s.client()
	following := begins(func() error { return followAll(silent.R, size, n) })
	for i := range n {
		s.says(string(numbered(i, size)))
	}
	if err := following(); err != nil {
		t.Fatal(err)
	}
	passes(3500 * time.Millisecond)
	if err := followAll(pauses.R, size, n); err != nil {
		t.Error(err)
	}
	s.says("still there?")
	pauses.Hears("still there?\n")
	silent.Hears("still there?\n")
}

// A peer whose cable is pulled is gone in at most twice KeepAlive: also with
// something outstanding, and also when it had shut its window; whether the
// cable is its own, so that packets get lost, or ours, so that none can be
// sent.
func TestKeepAliveFindsDeadPeer(t *testing.T) {
	t.Parallel()
	const keepAlive = 2 * time.Second
	for cable, pull := range map[string]func(t *testing.T, n *network){
		"its": func(t *testing.T, n *network) { n.there.run(t, "ip", "address", "flush", "dev", "there") },
		"our": func(t *testing.T, n *network) { n.there.run(t, "ip", "link", "set", "there", "down") },
	} {
		for _, c := range []struct {
			peer          string
			before, after func(s *stage)
		}{
			{"idle", func(*stage) {}, func(*stage) {}},
			{"sent to", func(*stage) {}, func(s *stage) { s.says("is anybody there?") }},
			{"with its window shut", shutsWindow, func(*stage) {}},
		} {
			t.Run(cable+" cable, "+c.peer, func(t *testing.T) {
				t.Parallel()
				n := newNetwork(t)
				var s *stage
				n.here.do(func() { s = openAt(t, "10.77.0.1:0", hubbub.Options{KeepAlive: keepAlive}) })
				n.there.do(func() { dialNarrow(t, s.at) })
				s.has(1)
				c.before(s)
				pull(t, n)
				cut := time.Now()
				c.after(s)
				reason := s.leaves(1)
				if took := time.Since(cut); took > 2*keepAlive+8*time.Second { // which are for the machine
					t.Errorf("it was found after %v, want at most %v", took, 2*keepAlive)
				}
				if !strings.HasPrefix(reason, "dead: no answer for") && !strings.Contains(reason, "connection timed out") {
					t.Errorf("it left because %q", reason)
				}
				s.has(0)
			})
		}
	}
}

// shutsWindow sends the only client so much that it takes no more, and waits
// until the kernel probes its window.
func shutsWindow(s *stage) {
	s.says(slices.Repeat([]string{string(numbered(0, 10_000))}, 100)...)
	joined := s.events.When(s.t, "a join", func(all []hubbub.Event) bool { return len(all) > 0 })
	fd := ourEnd(s.t, joined[0].Addr)
	scene.Until(s.t, "the window is shut", func() bool {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		return err == nil && info.Probes > 0
	})
}

// network is two hosts with a cable between them: 10.77.0.1 on "here" and
// 10.77.0.2 on "there".
type network struct{ here, there *host }

// host is a network namespace, entered by one thread that is lost with it.
type host struct {
	t    *testing.T
	tid  int
	work chan func()
}

// newNetwork makes one of its own for the test. Where that is not possible
// the test is skipped, but never in CI.
func newNetwork(t *testing.T) *network {
	t.Helper()
	n := &network{newHost(t), newHost(t)}
	n.here.run(t, "ip", "link", "add", "here", "type", "veth", "peer", "name", "there", "netns", strconv.Itoa(n.there.tid))
	for _, h := range []struct {
		*host
		device, address string
	}{{n.here, "here", "10.77.0.1/24"}, {n.there, "there", "10.77.0.2/24"}} {
		h.run(t, "ip", "address", "add", h.address, "dev", h.device)
		h.run(t, "ip", "link", "set", h.device, "up")
	}
	return n
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{t: t, work: make(chan func())}
	t.Cleanup(func() { close(h.work) })
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		h.tid = unix.Gettid()
		err := os.NewSyscallError("unshare", unix.Unshare(unix.CLONE_NEWNET))
		if _, missing := exec.LookPath("ip"); err == nil {
			err = missing
		}
		failed <- err
		for f := range h.work {
			f()
		}
	}()
	if err := <-failed; err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("CI must be able to make network namespaces: %v", err)
		}
		t.Skipf("this needs network namespaces, which take root: %v", err)
	}
	return h
}

// do has f done on that host.
func (h *host) do(f func()) {
	h.t.Helper()
	done := make(chan struct{})
	h.work <- func() {
		defer close(done)
		f()
	}
	<-done
	if h.t.Failed() {
		h.t.FailNow()
	}
}

// run runs a program on that host.
func (h *host) run(t *testing.T, name string, args ...string) {
	t.Helper()
	h.do(func() {
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
	})
}
