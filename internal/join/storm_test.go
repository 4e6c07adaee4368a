package join

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"hubbub.example/internal/proto"
	"hubbub.example/internal/scene"
)

// hub is a server of hubbub.v1 as it is written, whose connections break when
// and where the test says.
type hub struct {
	t *testing.T
	net.Listener
	breaks func(nth int) breakage

	mu       sync.Mutex
	changed  sync.Cond
	epoch    string
	feed     []string // of this epoch; number 1 is the first
	kept     int      // messages before this number are gone
	sessions map[string]*session
	taken    []string // what clients said, in order
	conns    int
	down     bool
}

type session struct {
	ack    int
	newest int // connection
}

// breakage is where a connection breaks: after so many bytes, each way, and
// after taking so many messages, before the last is acknowledged. 0 is never.
type breakage struct {
	in, out, take int
	skip          bool // it is sent "skipped" for some of its messages
	orderly       bool // the connection is closed, not reset
}

func newHub(t *testing.T, breaks func(nth int) breakage) *hub {
	h := &hub{t: t, Listener: listen(t, "127.0.0.1:0"), breaks: breaks, epoch: "e1", kept: 1, sessions: map[string]*session{}}
	h.changed.L = &h.mu
	t.Cleanup(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.down = true
		h.changed.Broadcast()
	})
	go func() {
		for {
			c, err := h.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			h.conns++
			nth := h.conns
			h.mu.Unlock()
			go h.serve(c, nth)
		}
	}()
	return h
}

// says broadcasts a message.
func (h *hub) says(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.feed = append(h.feed, text)
	h.changed.Broadcast()
}

// restarts forgets all that a server forgets.
func (h *hub) restarts(epoch string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.epoch, h.feed, h.kept, h.sessions = epoch, nil, 1, map[string]*session{}
	h.changed.Broadcast()
}

// fragile is a connection that breaks.
type fragile struct {
	*net.TCPConn
	b       breakage
	in, out int
}

var errFragile = errors.New("broken")

func (f *fragile) end() {
	if !f.b.orderly {
		_ = f.SetLinger(0)
	}
	_ = f.Close()
}

func (f *fragile) Read(p []byte) (int, error) {
	if f.b.in > 0 {
		if f.in >= f.b.in {
			f.end()
			return 0, errFragile
		}
		p = p[:min(len(p), f.b.in-f.in)]
	}
	n, err := f.TCPConn.Read(p)
	f.in += n
	return n, err
}

func (f *fragile) Write(p []byte) (int, error) {
	if f.b.out > 0 && f.out+len(p) > f.b.out {
		n, _ := f.TCPConn.Write(p[:f.b.out-f.out])
		f.out += n
		f.end()
		return n, errFragile
	}
	n, err := f.TCPConn.Write(p)
	f.out += n
	return n, err
}

// serve is one connection.
func (h *hub) serve(raw net.Conn, nth int) {
	c := &fragile{TCPConn: raw.(*net.TCPConn), b: h.breaks(nth)}
	defer c.Close()
	var asked url.Values
	u := ws.Upgrader{
		Protocol: func(p []byte) bool { return string(p) == proto.Subprotocol },
		OnRequest: func(uri []byte) error {
			at, err := url.ParseRequestURI(string(uri))
			if err == nil {
				asked = at.Query()
			}
			return err
		},
	}
	if _, err := u.Upgrade(c); err != nil {
		return
	}
	v := &visit{hub: h, c: c, nth: nth}
	at, hello := v.begin(asked)
	if v.tell(hello) != nil {
		return
	}
	go v.stream(at)
	v.listen()
}

// visit is one connection that has said what it wants.
type visit struct {
	*hub
	c       *fragile
	nth     int
	session *session
	mu      sync.Mutex // writes one by one
	done    bool       // hub.mu; the client has ended
	ended   bool       // hub.mu; it has nothing more to say
}

// begin returns what the server remembers, and says of it.
func (v *visit) begin(asked url.Values) (at int, hello map[string]any) {
	v.hub.mu.Lock()
	defer v.hub.mu.Unlock()
	token := asked.Get("session")
	if v.sessions[token] == nil {
		v.sessions[token] = &session{}
	}
	v.session = v.sessions[token]
	v.session.newest = v.nth
	v.changed.Broadcast()
	hello = map[string]any{"type": "hello", "epoch": v.epoch, "id": v.nth, "heartbeat": 25, "longest": 1000, "ack": v.session.ack}
	at = len(v.feed)
	if since := asked.Get("since"); since != "" {
		p, err := proto.ParsePoint(since)
		if err != nil {
			v.t.Error(err)
		}
		if p.Epoch != v.epoch || p.Seq > uint64(len(v.feed)) {
			hello["unknown"] = true
			at = v.kept - 1
		} else if at = int(p.Seq); at < v.kept-1 {
			hello["missed"] = v.kept - 1 - at
			at = v.kept - 1
		}
	}
	hello["seq"] = at
	return at, hello
}

func (v *visit) tell(what map[string]any) error {
	p, _ := json.Marshal(what)
	v.mu.Lock()
	defer v.mu.Unlock()
	return wsutil.WriteServerText(v.c, p)
}

// stream sends the feed from behind a number on.
func (v *visit) stream(at int) {
	for {
		v.hub.mu.Lock()
		epoch := v.epoch
		for at >= len(v.feed) && !v.down && !v.done && !v.ended && v.session.newest == v.nth && v.epoch == epoch {
			v.changed.Wait()
		}
		gone := v.down || v.done || v.session.newest != v.nth || v.epoch != epoch
		end := v.ended && at >= len(v.feed)
		text := ""
		if !gone && !end {
			text = v.feed[at]
		}
		v.hub.mu.Unlock()
		if gone {
			v.c.end()
			return
		}
		if end {
			_ = wsutil.WriteServerMessage(v.c, ws.OpClose, ws.NewCloseFrameBody(1000, ""))
			return
		}
		at++
		said := map[string]any{"type": "message", "seq": at, "time": "t", "text": text}
		if v.c.b.skip && at%7 == 0 {
			said = map[string]any{"type": "skipped", "seq": at, "count": 1}
		}
		if v.tell(said) != nil {
			return
		}
	}
}

// listen takes what the client says.
func (v *visit) listen() {
	defer func() {
		v.hub.mu.Lock()
		defer v.hub.mu.Unlock()
		v.done = true
		v.changed.Broadcast()
	}()
	for taken := 1; ; taken++ {
		p, err := wsutil.ReadClientText(v.c)
		if err != nil {
			return
		}
		var said struct {
			Type, Text string
			N          int
		}
		if err := json.Unmarshal(p, &said); err != nil {
			v.t.Errorf("the client says %q", p)
		}
		if said.Type == "end" {
			v.hub.mu.Lock()
			v.ended = true
			v.changed.Broadcast()
			v.hub.mu.Unlock()
			continue
		}
		ack, ok := v.take(said.N, said.Text)
		if !ok || taken == v.c.b.take {
			v.c.end()
			return
		}
		if v.tell(map[string]any{"type": "ack", "n": ack}) != nil {
			return
		}
	}
}

// take takes a message once.
func (v *visit) take(n int, text string) (ack int, ok bool) {
	v.hub.mu.Lock()
	defer v.hub.mu.Unlock()
	s := v.session
	if s.newest != v.nth {
		return 0, false
	}
	if s.ack != 0 && n > s.ack+1 {
		v.t.Errorf("message %d comes after %d", n, s.ack)
	}
	if n > s.ack {
		s.ack = n
		v.taken = append(v.taken, text)
		v.changed.Broadcast()
	}
	return s.ack, true
}

func (h *hub) awaits(what string, ok func() bool) {
	h.t.Helper()
	deadline := time.Now().Add(scene.LongEnough)
	late := time.AfterFunc(scene.LongEnough, h.changed.Broadcast)
	defer late.Stop()
	h.mu.Lock()
	defer h.mu.Unlock()
	for !ok() {
		if time.Now().After(deadline) {
			h.t.Fatalf("waited in vain for %s", what)
		}
		h.changed.Wait()
	}
}

func joinHub(t *testing.T, h *hub, o Options) *joined {
	t.Helper()
	o.WebSocket = openSocket
	o.Address, _ = ParseAddress("ws://" + h.Addr().String())
	o.FirstWait, o.LongestWait = 100*time.Microsecond, time.Millisecond
	return startAt(t, o)
}

// Whatever breaks and wherever, everything arrives, both ways, once and in
// order.
func TestV1NothingTwiceNothingMissingOverHundredsOfBreaks(t *testing.T) {
	t.Parallel()
	const lines = 1000
	for seed := range int64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewSource(seed))
			var mu sync.Mutex
			h := newHub(t, func(nth int) breakage {
				mu.Lock()
				defer mu.Unlock()
				if nth == 1 {
					return breakage{take: 10} // the first must come about
				}
				b := breakage{orderly: random.Intn(2) == 0}
				switch random.Intn(3) {
				case 0:
					b.in = 1 + random.Intn(1500)
				case 1:
					b.out = 1 + random.Intn(1500)
				case 2:
					b.take = 1 + random.Intn(15)
				}
				return b
			})
			var in, feed strings.Builder
			for i := range lines {
				fmt.Fprintf(&in, "in %d %s\n", i, strings.Repeat("x", i%50))
				fmt.Fprintf(&feed, "out %d %s\n", i, strings.Repeat("y", i%50))
			}
			j := joinHub(t, h, Options{})
			h.awaits("the first connection", func() bool { return len(h.sessions) > 0 })
			go func() {
				_, _ = io.WriteString(j.stdin, in.String())
				_ = j.stdin.Close()
			}()
			for line := range strings.Lines(feed.String()) {
				h.says(strings.TrimSuffix(line, "\n"))
			}
			j.endsWell()
			if got := strings.Join(h.taken, "\n") + "\n"; got != in.String() {
				t.Errorf("the server took %s", scene.Brief(got))
			}
			if got := j.stdout.Text(); got != feed.String() {
				t.Errorf("STDOUT got %s", scene.Brief(got))
			}
			t.Logf("%d connections", h.conns)
			if h.conns < 60 {
				t.Errorf("there were only %d connections", h.conns)
			}
		})
	}
}

// Across restarts nothing that was acknowledged comes twice, nothing is
// missing, and the order holds; what is gone from the server, or skipped, is
// counted.
func TestV1RestartsAndLostHistory(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(nth int) breakage { return breakage{take: 3, skip: nth%2 == 0} })
	j := joinHub(t, h, Options{Out: JSON})
	h.awaits("the client", func() bool { return len(h.sessions) > 0 })
	for epoch := 2; epoch < 12; epoch++ {
		for i := range 20 {
			h.says(fmt.Sprint("out ", epoch, i))
		}
		j.says(fmt.Sprintf("in %d a\nin %d b\nin %d c\nin %d d\n", epoch, epoch, epoch, epoch))
		last := fmt.Sprintf("in %d d", epoch)
		h.awaits("what was said", func() bool {
			return len(h.taken) > 0 && h.taken[len(h.taken)-1] == last
		})
		h.mu.Lock()
		h.kept = 15
		h.mu.Unlock()
		h.restarts(fmt.Sprint("e", epoch))
	}
	seen := map[string]int{}
	order := ""
	for _, s := range h.taken {
		if seen[s]++; seen[s] == 1 {
			order += s + "\n"
		}
	}
	want := ""
	for epoch := 2; epoch < 12; epoch++ {
		for _, c := range "abcd" {
			want += fmt.Sprintf("in %d %c\n", epoch, c)
		}
	}
	if order != want {
		t.Errorf("the server took %q", h.taken)
	}
	checkNumbers(t, j.stdout.Text())
}

// checkNumbers checks that each line of JSON follows the one before: by the
// next number, or by what says that some are missing.
func checkNumbers(t *testing.T, out string) {
	t.Helper()
	at := uint64(0)
	for line := range strings.Lines(out) {
		var l struct {
			Type, Epoch string
			Seq, Count  uint64
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		switch l.Type {
		case "message":
			l.Count = 1
		case "unknown":
			at, l.Count = l.Seq, 0
		}
		if at != 0 && l.Seq != at+l.Count {
			t.Fatalf("after %d comes %s", at, line)
		}
		at = l.Seq
	}
}
