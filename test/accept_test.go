//go:build unix

package hubbub_test

// How clients come in: all at once, one too many, from everywhere.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"hubbub.example"
	"hubbub.example/internal/scene"
)

// When all come back at once, as after a restart, they wait in the queue of
// the listener and not for their kernel's next try in a second, or in seven.
func TestBurstOfConnects(t *testing.T) {
	t.Parallel()
	clients := 100
	if runtime.GOOS == "linux" {
		clients = 500 // elsewhere the system's own limit is 128
	}
	everyNetwork(t, func(t *testing.T, address string) {
		// Joins that nobody takes: the hub is in no position to accept.
		s := openUntaken(t, address, hubbub.Options{Inbox: hubbub.InboxPresence, Replay: hubbub.ReplayAll})
		s.says("welcome")
		conns := make([]net.Conn, clients)
		began := time.Now()
		err := together(clients, func(i int) (err error) {
			conns[i], err = scene.Connect(s.at, nil)
			return err
		})
		t.Logf("all have connected after %v", time.Since(began))
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for range s.Events(context.Background()) {
			}
		}()
		err = together(clients, func(i int) error {
			defer conns[i].Close()
			_, err := fmt.Fscanln(conns[i], new(string))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// One client too many is told why, and costs nobody anything; when somebody
// leaves there is room again.
func TestMaxClients(t *testing.T) {
	t.Parallel()
	everyNetwork(t, func(t *testing.T, address string) {
		s := openAt(t, address, hubbub.Options{MaxClients: 2})
		peers := []*peer{s.client(), s.client()}
		for i := range 30 { // more than are seen off at a time
			p := dial(t, s.at)
			if i%2 == 0 {
				p.Says("may I come in?\n") // unread input must not turn the answer into a reset
			}
			p.Hears("hubbub: refused: the server is full (2 clients)\n")
			p.HearsEnd()
			_ = p.Close()
		}
		s.logs("refused: 2 clients are connected, and no more are admitted")
		if n := len(s.log.All()); n != 1 {
			t.Errorf("it was said %d times, want once", n)
		}
		scene.Until(t, "all are counted", func() bool { return s.Stats().Refused == 30 })
		if now := s.Stats(); now.Joins != 2 || now.Clients != 2 {
			t.Errorf("%d joined, %d are there", now.Joins, now.Clients)
		}
		peers[0].Says("farewell\n")
		peers[0].Done()
		peers[0].HearsEnd()
		s.has(1)
		s.client().Says("thanks\n")
		s.hears("1 farewell", "3 thanks")
		peers[1].Says("still here\n")
		s.hears("1 farewell", "3 thanks", "2 still here")
	})
}

// Both families are served, with one port, also where it was 0: by every
// address, and by a name that has both.
func TestListenBothFamilies(t *testing.T) {
	t.Parallel()
	s := open(t, hubbub.Options{})
	families := []string{"127.0.0.1"}
	if l, err := net.Listen("tcp6", "[::1]:0"); err == nil {
		_ = l.Close()
		families = append(families, "::1")
	} else {
		t.Logf("IPv4 alone: %v", err)
	}

	everywhere, err := s.Listen(":0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(everywhere[0].String())
	for _, host := range families {
		dial(t, net.JoinHostPort(host, port)).Says("by every address\n")
	}

	named, err := s.Listen("tcp://localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	ips, err := net.DefaultResolver.LookupNetIP(patient(t), "ip", "localhost")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ = net.SplitHostPort(named[0].String())
	for _, ip := range ips {
		at := net.JoinHostPort(ip.Unmap().String(), port)
		if !slices.Contains(families, ip.Unmap().String()) {
			continue
		}
		if !slices.ContainsFunc(named, func(a hubbub.Address) bool { return a.String() == at }) {
			t.Errorf("localhost is also %s, and that is not among %v", at, named)
		}
	}
	for _, a := range named {
		dial(t, a.String()).Says("by name\n")
	}
	s.events.When(t, "everybody is heard", func(all []hubbub.Event) bool {
		return len(texts(all)) == len(families)+len(named)
	})
}

// What cannot be listened on is said with the address, the call and the
// system's words, and the hub goes on.
func TestListenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := open(t, hubbub.Options{})
	for address, want := range map[string]string{
		s.at:                    "listen tcp " + s.at + ": bind: address already in use",
		"9000":                  `address "9000": must be HOST:PORT, :PORT, tcp://HOST:PORT, http://HOST:PORT or unix:PATH`,
		"unix:/no/such/folder/": "no such file or directory",
	} {
		if _, err := s.Listen(address); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("listening on %s says %v, want %s", address, err, want)
		}
	}
	s.client().Says("on we go\n")
	s.hears("1 on we go")
}

// A client with no byte either way for so long is closed, and it alone: not
// one that only speaks.
func TestIdleTimeoutClosesOnlyTheIdle(t *testing.T) {
	t.Parallel()
	everyNetwork(t, func(t *testing.T, address string) {
		s := openAt(t, address, hubbub.Options{IdleTimeout: time.Second, Loops: 2})
		idle, speaks := s.client(), s.client()
		over := make(chan struct{})
		talking := begins(func() error { return murmurs(speaks, over) })
		if reason := s.leaves(1); reason != "idle for 1s" {
			t.Errorf("it left because %q", reason)
		}
		idle.HearsEnd()
		_ = idle.Close()
		s.logs("client 1 (")
		s.has(1)
		close(over)
		if err := talking(); err != nil {
			t.Errorf("the one who speaks: %v", err)
		}
	})
}

// Who talks is not idle, although the hub does not read it: nobody takes what
// it says.
func TestWhoIsNotReadIsNotIdle(t *testing.T) {
	t.Parallel()
	s := openUntaken(t, "tcp://127.0.0.1:0", hubbub.Options{IdleTimeout: time.Second, Loops: 1, Inbox: hubbub.InboxMessages})
	p := s.client()
	text := strings.Repeat("I have something to say\n", 200_000)
	talking := begins(func() error { _, err := io.WriteString(p, text); return err })
	passes(2500 * time.Millisecond)
	received := 0
	for e := range s.Events(context.Background()) {
		if received += len(e.Data) + 1; received >= len(text) || e.Kind != hubbub.Message {
			break
		}
	}
	if err := talking(); err != nil || received != len(text) {
		t.Errorf("of %d bytes %d were received: %v", len(text), received, err)
	}
}

// Who takes what was sent long ago is not idle either: the socket's buffer may
// hold more than it takes in the idle time.
func TestWhoTakesIsNotIdle(t *testing.T) {
	t.Parallel()
	const size, n, bite = 1000, 3000, 40_000
	s := open(t, hubbub.Options{IdleTimeout: 1500 * time.Millisecond})
	p := s.client()
	for i := range n {
		s.says(string(numbered(i, size)))
	}
	var heard bytes.Buffer
	for heard.Len() < n*(size+1) {
		if _, err := io.CopyN(&heard, p, int64(min(bite, n*(size+1)-heard.Len()))); err != nil {
			t.Fatalf("after %d bytes: %v", heard.Len(), err)
		}
		passes(40 * time.Millisecond)
	}
}

// murmurs returns a little all the time, until over.
func murmurs(w io.Writer, over <-chan struct{}) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := io.WriteString(w, "x\n"); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-over:
			return nil
		}
	}
}

// Who only listens is not idle while there is something to hear.
func TestWhoListensIsNotIdle(t *testing.T) {
	t.Parallel()
	s := open(t, hubbub.Options{IdleTimeout: 2 * time.Second})
	p := s.client()
	for began := time.Now(); time.Since(began) < 3*time.Second; {
		s.says("x")
		p.Hears("x\n")
		passes(20 * time.Millisecond)
	}
	s.leaves(1)
	p.HearsEnd()
}

// WaitForClients waits for so many, and not longer than ctx allows.
func TestWaitForClients(t *testing.T) {
	t.Parallel()
	s := open(t, hubbub.Options{})
	ctx, cancel := context.WithCancel(patient(t))
	waiting := begins(func() error { return s.WaitForClients(ctx, 3) })
	s.clients(3)
	if err := waiting(); err != nil {
		t.Fatal(err)
	}
	waiting = begins(func() error { return s.WaitForClients(ctx, 4) })
	cancel()
	if err := waiting(); !errors.Is(err, context.Canceled) {
		t.Errorf("WaitForClients says %v, want that ctx was cancelled", err)
	}
	waiting = begins(func() error { return s.WaitForClients(patient(t), 4) })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := waiting(); !errors.Is(err, hubbub.ErrClosed) {
		t.Errorf("WaitForClients says %v, want ErrClosed", err)
	}
}

// A Unix socket has its mode, and is gone after the hub, with all that was
// beside it.
func TestUnixSocketComesAndGoes(t *testing.T) {
	t.Parallel()
	address := unixAddress(t)
	path := strings.TrimPrefix(address, "unix:")
	s := openAt(t, address, hubbub.Options{UnixMode: 0o620})
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode(); got != os.ModeSocket|0o620 {
		t.Errorf("its mode is %v", got)
	}
	s.client().Says("hello\n")
	s.hears("1 hello")
	if got := s.events.All()[0].Addr; got != "unix" {
		t.Errorf("a client's address is %q, want unix", got)
	}
	if err := s.Drain(patient(t), scene.LongEnough); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(path[:strings.LastIndexByte(path, '/')])
	if err != nil || len(left) > 0 {
		t.Errorf("there is left %v (%v)", left, err)
	}
}
