//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"testing"
	"time"
)

// small returns a size at which every scenario is quick: the tests check that they do
// what they say, never how fast.
func small(t *testing.T) config {
	t.Helper()
	cores, err := share()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return config{
		self: self, hub: self, websocketd: "websocketd", cores: cores, dir: t.TempDir(),
		clientScale: 0.02, workScale: 0.02, roundScale: 0.02, quiet: 50 * time.Millisecond, check: true,
	}
}

// Every scenario of the table runs against hubbub as it is, and finds every byte
// where it belongs.
func TestEveryScenarioRuns(t *testing.T) {
	c := small(t)
	var err error
	if c.hub, err = buildHub(c.dir); err != nil {
		t.Fatal(err)
	}
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			results, err := c.run(s, "")
			if errors.Is(err, errMissing) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(results) != len(s.figures) {
				t.Errorf("%d figures, not %d", len(results), len(s.figures))
			}
		})
	}
}

// startServer returns a harness with a server for so many clients.
func startServer(t *testing.T, c config, line string, clients int) *harness {
	t.Helper()
	cmd, err := c.command(line, clients)
	if err != nil {
		t.Fatal(err)
	}
	h, err := newHarness(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.stop)
	return h
}

// Every client of the floor gets every byte once and in order, whatever the
// pieces it reads: each received byte is compared.
func TestFloorCopiesAllToAll(t *testing.T) {
	c := small(t)
	c.clientScale, c.workScale = 1, 1
	for _, piece := range []int{1, 63, 4 << 10, 256 << 10} {
		s := stream{clients: 20, size: 64, lines: 200, per: 1, in: 1}
		if piece >= 4<<10 {
			s.lines = 30_000 // more than the sockets of one client hold
		}
		for _, w := range []workload{s, fileStream{s}} {
			side, err := c.open(scenario{}, fmt.Sprintf("floor copy -wait-for CLIENTS -piece %d", piece), w)
			if err != nil {
				t.Fatal(err)
			}
			got, err := side.step()
			side.stop()
			if err != nil || len(got) != 1 || math.IsNaN(got[0]) || math.IsInf(got[0], 0) {
				t.Errorf("in pieces of %d: %v, %v", piece, got, err)
			}
		}
	}
}

// Lines sent one at a time, paced or not, are timed once for each client.
func TestFanoutTimesEveryDelivery(t *testing.T) {
	for _, every := range []time.Duration{0, time.Millisecond} {
		f := fanout{clients: 10, size: 64, lines: 20, every: every}
		timesAll(t, startServer(t, small(t), "floor copy -wait-for CLIENTS", f.clients), f)
	}
}

// timesAll runs a fanout again and again, of which each delivery must be timed.
func timesAll(t *testing.T, r *harness, f fanout) {
	t.Helper()
	step, err := f.begin(r)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := step(); err != nil {
			t.Fatal(err)
		}
		if n := len(r.load.watch.late); n != f.clients*f.lines {
			t.Fatalf("%d deliveries timed, not %d", n, f.clients*f.lines)
		}
	}
}

// Every line a client sends comes out of the gathering floor, whole and in its
// client's order.
func TestFloorGathersAllFromAll(t *testing.T) {
	for _, f := range []fanin{{burst: 1}, {burst: 16}, {burst: 1, queued: true}} {
		f.clients, f.size, f.lines = 20, 32, 250
		r := startServer(t, small(t), "floor gather", f.clients)
		r.keep = true
		step, err := f.begin(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := step(); err != nil {
			t.Fatal(err)
		}
		got := make(map[string][]byte)
		for line := range bytes.Lines(r.heard) {
			who := string(line[:8])
			got[who] = append(got[who], line...)
		}
		for i := range f.clients {
			want := f.text(i)
			if text := got[string(want[:8])]; !bytes.Equal(text, want) {
				t.Errorf("%+v, client %d: got %q", f, i, text)
			}
		}
	}
}

// A client that leaves costs the floor's others nothing.
func TestFloorOutlivesClients(t *testing.T) {
	f := fanout{clients: 10, size: 64, lines: 5}
	r := startServer(t, small(t), "floor copy -wait-for CLIENTS", f.clients)
	step, err := f.begin(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := step(); err != nil {
		t.Fatal(err)
	}
	leaver := &r.load.clients[3]
	bareClose(leaver.fd)
	leaver.gone = true
	if err := r.feed(numbered(5, 1, 64)); err != nil {
		t.Fatal(err)
	}
	r.load.want = append(r.load.want, numbered(5, 1, 64)...)
	r.load.watch = nil
	all := r.load.got + 9*64
	if err := r.until(func() bool { return r.load.got >= all }); err != nil {
		t.Fatal(err)
	}
}

func TestEveryAcceptedClientIsCounted(t *testing.T) {
	h := small(t)
	for _, floor := range []string{"hold", "listener"} {
		r := startServer(t, small(t), "floor "+floor, 0)
		if err := r.settle(h.quiet); err != nil {
			t.Fatal(err)
		}
		if err := r.fill(300); err != nil {
			t.Fatal(err)
		}
		if n, err := descriptorsOf(r.server.pid); err != nil || n < r.own+300 {
			t.Fatalf("%s: %d descriptors, %d before, %v", floor, n, r.own, err)
		}
		a := accept{clients: 200, quiet: h.quiet}
		s, err := a.measure(startServer(t, small(t), "floor "+floor, 0))
		if err != nil || s[0] <= 0 || s[1] <= 0 {
			t.Fatalf("%s: accept came to %v, %v", floor, s, err)
		}
	}
}

// newTestLoad returns a load, and how the server that it connects to accepts.
func newTestLoad(t *testing.T) (l *load, accept func() net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	if l, err = newLoad(listener.Addr().(*net.TCPAddr).Port); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	return l, func() net.Conn {
		t.Helper()
		server, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = server.Close() })
		return server
	}
}

// A byte that was not sent is seen, where bytes are looked at.
func TestLoadSeesAWrongByte(t *testing.T) {
	l, accept := newTestLoad(t)
	l.want = []byte("what is wanted")
	if err := l.connect(1, socket{}); err != nil {
		t.Fatal(err)
	}
	server := accept()
	if _, err := server.Write([]byte("what is not")); err != nil {
		t.Fatal(err)
	}
	if err := l.poll(10 * time.Second); err == nil {
		t.Error("taken without a word")
	}
}

// A client whose connection the server ends is gone, and only it, whether it
// reads or not. One that does not is no loss.
func TestLoadSeesWhoIsCut(t *testing.T) {
	for _, test := range []struct {
		deaf bool
		lost int
	}{{false, 1}, {true, 0}} {
		l, accept := newTestLoad(t)
		if err := l.connect(2, socket{deaf: test.deaf}); err != nil {
			t.Fatal(err)
		}
		first := accept()
		first.Close()
		if err := l.poll(10 * time.Second); err != nil {
			t.Fatal(err)
		}
		if l.lost != test.lost || !l.clients[0].gone || l.clients[1].gone {
			t.Errorf("deaf %v: %d lost", test.deaf, l.lost)
		}
	}
}

// A client reads a turn's worth and lets the others read, and yet reads all,
// the end of file included.
func TestLoadReadsInTurns(t *testing.T) {
	l, accept := newTestLoad(t)
	if err := l.connect(1, socket{}); err != nil {
		t.Fatal(err)
	}
	server := accept()
	l.buf = l.buf[:1<<10]
	l.want = numbered(0, 200, 100)
	if _, err := server.Write(l.want); err != nil {
		t.Fatal(err)
	}
	server.Close()
	for before := l.got; l.lost == 0; before = l.got {
		if err := l.poll(10 * time.Second); err != nil {
			t.Fatal(err)
		}
		if read := l.got - before; read > turn<<10 {
			t.Fatalf("read %d bytes in one turn", read)
		}
	}
	if l.got != int64(len(l.want)) {
		t.Errorf("got %d bytes, not %d", l.got, len(l.want))
	}
}

// A server that cannot start says why.
func TestStartSaysWhyNot(t *testing.T) {
	cmd, err := small(t).command("floor nonsense", 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = start(cmd)
	if err == nil || !bytes.Contains([]byte(err.Error()), []byte("no floor")) {
		t.Errorf("got %v", err)
	}
}

// The log groups clients that are closed at once; all of them are counted.
func TestEveryClosedClientIsCounted(t *testing.T) {
	var s saying
	for _, line := range []string{
		"listening on 127.0.0.1:9000", "client 7 closed: lapped (64 MiB behind)", "and 1 other client closed: lapped", "hubbub: and 90 other clients closed: lapped",
	} {
		s.add(line)
	}
	if n := s.cut(); n != 92 {
		t.Errorf("%d clients are counted, not 92", n)
	}
}
