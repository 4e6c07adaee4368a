//go:build unix

package hubbub_test

// hubbub.v1: who is told what, and messages that arrive once.

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"hubbub.example/internal/scene"

	"hubbub.example"
)

const ourSession = "?session=0123456789abcdef"

// The first that a client hears is what it has to know.
func TestHelloComesFirst(t *testing.T) {
	t.Parallel()
	s := openAny(t, hubbub.Options{MaxMessage: 1000})
	s.says("one", "two")
	c, hello := s.v1("/?last=1")
	if hello.Epoch == "" || hello.ID != 1 || hello.Seq != 1 || hello.Missed != 0 || hello.Unknown || hello.Heartbeat != 25 || hello.Longest != 1000 || hello.Ack != 0 {
		t.Errorf("it is greeted with %+v", hello)
	}
	if m := c.object("message"); m.Seq != 2 || m.Text != "two" {
		t.Errorf("then it hears %+v", m)
	}
	s.says("a\nb", "\xff\x00")
	if m := c.object("message"); m.Seq != 3 || m.Text != "a\nb" || m.Time == "" {
		t.Errorf("then it hears %+v", m)
	}
	if m := c.object("message"); m.Seq != 4 || m.Base64 != "/wA=" {
		t.Errorf("then it hears %+v", m)
	}
}

// Others read a name beside their own: what hides in one, or turns their line
// around, is told what a name is, whatever the client.
func TestANameIsReadByOthers(t *testing.T) {
	t.Parallel()
	s := openAny(t, hubbub.Options{})
	for _, name := range []string{"ann%E2%80%AEnna", "a%E2%80%8Bnn", "a%E2%80%A8b", "a%0Ab", "ann%E2%80%8D"} {
		if code := s.posts("/?name="+name, "hello\n"); code != http.StatusBadRequest {
			t.Errorf("who posts as %s is answered with %d", name, code)
		}
		for _, headers := range [][]string{nil, {acceptEvents}, handshake, append([]string{speaksV1}, handshake...)} {
			if code, why := s.get("/?name="+name, headers...); code != http.StatusBadRequest || !strings.Contains(why, "must be 1 to 64 bytes of UTF-8 without control and format characters") {
				t.Errorf("%s, with %q, is answered with %d %q", name, headers, code, why)
			}
		}
	}
	if n := s.Stats().Joins; n != 0 {
		t.Errorf("%d joined", n)
	}
	s.posts("/?name=%D8%B9%D9%84%E2%80%8C%D8%B1%D8%B6%D8%A7", "hello\n")
	s.tells("1 post join عل\u200cرضا", `1 post message عل`+"\u200c"+`رضا "hello"`, "1 post leave عل\u200cرضا done")
}

// Where it begins is said: behind its resume point, with what is gone counted;
// a resume point of another epoch, or of the future, is not known.
func TestAResumePointIsAnswered(t *testing.T) {
	t.Parallel()
	s := openAny(t, hubbub.Options{Backlog: 64 << 10})
	first, hello := s.v1("/?last=0")
	go func() { _, _ = io.Copy(io.Discard, first.R) }()
	epoch := hello.Epoch
	const n = 300
	for i := range n { // far more than the backlog
		s.says(string(numbered(i, 1000)))
	}
	for _, c := range []struct {
		point   string
		unknown bool
		seq     uint64
	}{
		{point(epoch, n-2), false, n - 2},
		{point(strings.ToUpper(epoch), n), false, n},
		{point(epoch, n+1), true, 0},
		{point("elsewhere", n-1), true, 0},
		{point(epoch, 1), false, 0},
	} {
		for _, header := range []bool{false, true} {
			var hello v1
			var client *socket
			if header {
				client = s.socket("/?since="+point(epoch, n), speaksV1, "Last-Event-ID: "+c.point)
				hello = client.object("hello")
			} else {
				client, hello = s.v1("/?since=" + c.point)
			}
			if hello.Unknown != c.unknown || c.seq > 0 && (hello.Seq != c.seq || hello.Missed != 0) {
				t.Errorf("since %s is answered with %+v", c.point, hello)
			}
			if c.seq == 0 && !c.unknown && (hello.Seq == 0 || hello.Missed != hello.Seq-1) {
				t.Errorf("since %s is answered with %+v: what is gone lies between", c.point, hello)
			}
			if hello.Seq < n {
				if m := client.object("message"); m.Seq != hello.Seq+1 || m.Text != string(numbered(int(m.Seq)-1, 1000)) {
					t.Errorf("since %s, behind %d comes %d %s", c.point, hello.Seq, m.Seq, scene.Brief(m.Text))
				}
			}
			_ = client.Close()
		}
	}
}

// An event stream says the same in events without an id.
func TestAResumePointIsAnsweredInEvents(t *testing.T) {
	t.Parallel()
	s := openAny(t, hubbub.Options{Backlog: 64 << 10})
	first, hello := s.v1("/?last=0")
	_ = first.Close()
	s.has(0)
	reads := s.sse("/?last=0") // so there is a feed of events
	go func() { _, _ = io.Copy(io.Discard, reads.R) }()
	const n = 300
	for i := range n {
		s.says(string(numbered(i, 1000)))
	}
	p := s.sse("/", "Last-Event-ID: "+point(hello.Epoch, n-2))
	if e := p.event(); e.id != point(hello.Epoch, n-1) || e.data != string(numbered(n-2, 1000)) {
		t.Errorf("it gets %+v", e)
	}
	p = s.sse("/", "Last-Event-ID: something else")
	if e := p.event(); e.kind != "unknown" || e.id != "" || e.data != "something else" {
		t.Errorf("it gets %+v", e)
	}
	p = s.sse("/?since=" + point(hello.Epoch, 10))
	e := p.event()
	next := p.event()
	var gone int
	if _, err := fmt.Sscan(e.data, &gone); err != nil || e.kind != "skipped" || e.id != "" || next.id != point(hello.Epoch, uint64(10+gone+1)) {
		t.Errorf("it gets %+v, then %+v", e, next)
	}
}

// A number is taken once, and acknowledged each time; one that leaves a gap is a
// breach. Without a session any connection begins anew.
func TestNumbersAreTakenOnce(t *testing.T) {
	t.Parallel()
	s := openAny(t, hubbub.Options{})
	c, _ := s.v1("/" + ourSession)
	c.saysV1(5, "five", "six")
	c.saysV1(5, "five", "six", "seven")
	c.saysV1(0, "no number")
	for ack := (v1{}); ack.N < 7; {
		ack = c.object("ack")
	}
	s.hears("1 five", "1 six", "1 seven", "1 no number")
	c.saysV1(9, "a gap")
	if reason := c.hearsClose(1002); !strings.Contains(reason, "9") {
		t.Errorf("the reason is %q", reason)
	}
	_ = c.Close()
	again, hello := s.v1("/" + ourSession)
	if hello.Ack != 7 {
		t.Errorf("the hub has %d, want 7", hello.Ack)
	}
	other, hello := s.v1("/?session=another-0123456789")
	if hello.Ack != 0 {
		t.Errorf("the hub has %d of a new session", hello.Ack)
	}
	other.saysV1(1, "first")
	other.object("ack")
	again.saysV1(8, "eight")
	again.object("ack")
	s.hears("1 five", "1 six", "1 seven", "1 no number", "3 first", "2 eight")
}

// What is no message of hubbub.v1 ends it, what is not known does not.
func TestBreachesOfV1(t *testing.T) {
	t.Parallel()
	s := openAny(t, hubbub.Options{MaxMessage: 100})
	for _, c := range []struct {
		says string
		code int
	}{
		{text("hello"), 1002},
		{text("[]"), 1002},
		{text(`{"type":"message"}`), 1002},
		{text(`{"type":"message","text":"a","base64":"YQ=="}`), 1002},
		{text(`{"type":"message","base64":"Y"}`), 1002},
		{text(`{"type":"message","n":0,"text":"a"}`), 1002},
		{string(frame(ws.OpBinary, true, []byte(said(0, "a")))), 1002},
		{text(said(0, strings.Repeat("x", 101))), 1009},
		{text(`{"type":"message","text":"` + strings.Repeat(" ", 2000) + `"}`), 1009},
		{text("\xff"), 1007},
		{text(`{"type":"end"}`), 1000},
		{text(`{"type":"later","text":1}`) + text(`{"type":"end","x":null}`), 1000},
		{text(`{"type":"message","text":"`+strings.Repeat(`\u0041`, 100)+`"}`) + text(`{"type":"end"}`), 1000},
	} {
		client, _ := s.v1("/?last=0")
		client.Says(c.says)
		client.hearsClose(c.code)
		_ = client.Close()
	}
	s.has(0)
}

// What is not known is passed over, and numbers are taken once and in order:
// all a client may say, and what becomes of it.
func TestWhatAClientOfV1MaySay(t *testing.T) {
	t.Parallel()
	const end = `{"type":"end"}`
	for _, c := range []struct {
		says  []string
		code  int
		ack   uint64
		heard []string
	}{
		// Unknown things, and known ones that nobody asked for.
		{[]string{`{"type":"later","text":"no"}`, `{}`, `{"type":7}`, `{"type":null}`, `{"text":"no"}`, `{"Type":"message","text":"no"}`, end}, 1000, 0, nil},
		{[]string{`{"type":"hello","id":1}`, `{"type":"ack","n":3}`, `{"type":"skipped","count":1,"seq":1}`, end}, 1000, 0, nil},
		{[]string{`{"type":"heartbeat"}`, `{"type":"heartbeat"}`, said(0, "a"), end}, 1000, 0, []string{"a"}},
		{[]string{` {"to":["x",{"text":"no"}],"n":1,"text":"a","type":"message"} `, end}, 1000, 1, []string{"a"}},
		// Numbers.
		{[]string{said(7, "a"), said(8, "b"), end}, 1000, 8, []string{"a", "b"}},
		{[]string{said(7, "a"), said(7, "a"), said(8, "b"), said(7, "a"), end}, 1000, 8, []string{"a", "b"}},
		{[]string{said(7, "a"), said(0, "b"), said(8, "c"), end}, 1000, 8, []string{"a", "b", "c"}},
		{[]string{said(7, "a"), said(9, "b"), said(8, "c")}, 1002, 7, []string{"a"}},
		{[]string{said(1<<53, "a"), end}, 1000, 1 << 53, []string{"a"}},
		{[]string{said(1, "a"), said(1<<53+1, "b")}, 1002, 1, []string{"a"}},
		{[]string{`{"type":"message","n":"1","text":"a"}`}, 1002, 0, nil},
		{[]string{`{"type":"message","n":1.0,"text":"a"}`}, 1002, 0, nil},
		{[]string{`{"type":"message","n":-1,"text":"a"}`}, 1002, 0, nil},
		{[]string{`{"type":"message","n":null,"text":"a"}`}, 1002, 0, nil},
		// Behind the end.
		{[]string{said(1, "a"), end, end, `{"type":"heartbeat"}`, `{"type":"later"}`}, 1000, 1, []string{"a"}},
		{[]string{said(1, "a"), end, said(2, "b")}, 1002, 1, []string{"a"}},
		{[]string{end, said(0, "b")}, 1002, 0, nil},
		{[]string{end, "[]"}, 1002, 0, nil},
	} {
		s := openAny(t, hubbub.Options{})
		client, _ := s.v1("/" + ourSession)
		var all strings.Builder
		for _, object := range c.says {
			all.WriteString(text(object))
		}
		client.Says(all.String())
		ack := uint64(0)
		op, p := client.next()
		for ; op == ws.OpText; op, p = client.next() {
			var o v1
			switch err := json.Unmarshal(p, &o); {
			case err == nil && o.Type == "ack":
				ack = o.N
			case err != nil || o.Type != "close" || c.code != 1002:
				t.Errorf("%q: the hub says %q", c.says, p)
			}
		}
		if code := binary.BigEndian.Uint16(p); op != ws.OpClose || int(code) != c.code || ack != c.ack {
			t.Errorf("%q is acknowledged up to %d and closed with %d %q, want %d and %d", c.says, ack, code, p[2:], c.ack, c.code)
		}
		_ = client.Close()
		s.leaves(1)
		var heard []string
		for _, e := range s.events.All() {
			if e.Kind == hubbub.Message {
				heard = append(heard, string(e.Data))
			}
		}
		if !slices.Equal(heard, c.heard) {
			t.Errorf("of %q %q is heard, want %q", c.says, heard, c.heard)
		}
	}
}

// A newer connection of a session ends the older, and goes on where that was.
func TestANewerConnectionOfASessionEndsTheOlder(t *testing.T) {
	t.Parallel()
	const connections = 20
	s := openAny(t, hubbub.Options{Loops: 2})
	older, _ := s.v1("/" + ourSession)
	for i := range uint64(connections) {
		older.saysV1(i+1, fmt.Sprint(i))
		newer, hello := s.v1("/" + ourSession)
		// It may not have been read yet; what was is counted.
		if hello.Ack != i && hello.Ack != i+1 {
			t.Fatalf("the hub has %d after %d", hello.Ack, i+1)
		}
		if hello.Ack == i {
			newer.saysV1(i+1, fmt.Sprint(i))
			newer.object("ack")
		}
		for {
			op, p := older.next()
			if op != ws.OpClose {
				continue
			}
			if !strings.Contains(string(p), "\x03\xf0replaced") {
				t.Fatalf("the older ends with %q", p)
			}
			break
		}
		_ = older.Close()
		older = newer
	}
	s.has(1)
	all := s.events.When(t, "all it said", func(all []hubbub.Event) bool { return len(texts(all)) >= connections })
	for i, said := range texts(all) {
		if _, text, _ := strings.Cut(said, " "); text != fmt.Sprint(i) || i >= connections {
			t.Fatalf("it said %q", texts(all))
		}
	}
	there := 0
	for _, e := range all {
		switch e.Kind {
		case hubbub.Join:
			there++
		case hubbub.Leave:
			there--
		}
		if there > 1 {
			t.Fatal("a newer has joined before the older has left")
		}
	}
}

// The older connection's leave comes before the newer one's join also where both
// have to wait for the inbox.
func TestANewerConnectionOfASessionWaitsForTheInbox(t *testing.T) {
	t.Parallel()
	const pairs = 12
	s := openUntaken(t, "127.0.0.1:0", unhurried(hubbub.Options{Loops: 4}))
	var older []*socket
	for i := range pairs {
		c, _ := s.v1(fmt.Sprintf("/?name=%d&session=0123456789abcde%x", i, i))
		older = append(older, c)
	}
	var newer []*peer // accepted while there is room for what is told of it
	for range pairs {
		p := dial(t, s.at)
		_, _ = io.Copy(io.Discard, p.asks(http.MethodGet, "/healthz").Body)
		newer = append(newer, p)
	}
	flood := dial(t, s.at)
	s.fillInbox(flood)
	for i, p := range newer {
		c := s.socketLater(p, fmt.Sprintf("/?name=%d&session=0123456789abcde%x", i, i), speaksV1)
		if hello := c.object("hello"); hello.ID == 0 {
			t.Fatalf("it is greeted with %+v", hello)
		}
		older[i].hearsClose(1008)
	}
	s.take()
	all := s.events.When(t, "who came and went", func(all []hubbub.Event) bool {
		return presences(all) >= 3*pairs
	})
	there := map[string]int{}
	for _, e := range all {
		switch {
		case e.Name == "":
		case e.Kind == hubbub.Join:
			there[e.Name]++
		case e.Kind == hubbub.Leave:
			there[e.Name]--
		}
		if there[e.Name] > 1 {
			t.Fatalf("%s's newer connection has joined before the older has left", e.Name)
		}
	}
}

// presences returns how many joins and leaves there are of clients with names.
func presences(all []hubbub.Event) (n int) {
	for _, e := range all {
		if e.Name != "" && e.Kind != hubbub.Message {
			n++
		}
	}
	return n
}

// Connections break at random points of a stream of numbered messages, and new
// ones come before the hub has noticed: each message arrives once, in order.
func TestEachMessageArrivesOnceThroughBreaks(t *testing.T) {
	t.Parallel()
	const sessions, messages = 4, 1500
	s := openAny(t, hubbub.Options{Loops: 2, Replay: hubbub.ReplayNone})
	err := together(sessions, func(i int) error {
		r := rand.New(rand.NewPCG(uint64(i), 11))
		target := fmt.Sprintf("/?last=0&name=%d&session=session-number-%d", i, i)
		acked := uint64(0)
		for acked < messages {
			c, err := scene.Connect(s.at, nil)
			if err != nil {
				return err
			}
			acked, err = sayNumbered(&socket{&peer{scene.NewPeer(t, c)}, s}, target, messages, r)
			switch r.IntN(3) {
			case 0:
				_ = scene.Reset(c)
			case 1:
				_ = c.Close()
			default: // it is there for some time
				defer c.Close()
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	next := map[string]int{}
	s.events.When(t, "all messages", func(all []hubbub.Event) bool {
		n := 0
		for _, e := range all {
			if e.Kind == hubbub.Message {
				n++
			}
		}
		return n >= sessions*messages
	})
	for _, e := range s.events.All() {
		if e.Kind != hubbub.Message {
			continue
		}
		if want := string(numbered(next[e.Name], 20+next[e.Name]%300)); string(e.Data) != want {
			t.Fatalf("session %s says %s, want %s", e.Name, scene.Brief(string(e.Data)), scene.Brief(want))
		}
		next[e.Name]++
	}
}

// sayNumbered returns what the hub does not have yet, up to a random place, and
// returns what it is known to have.
func sayNumbered(c *socket, target string, end uint64, r *rand.Rand) (acked uint64, err error) {
	_, err = io.WriteString(c, request("GET", target, append(slices.Clone(handshake), speaksV1)...))
	if err != nil {
		return 0, err
	}
	for line := ""; line != "\r\n"; {
		if line, err = c.R.ReadString('\n'); err != nil {
			return 0, err
		}
	}
	hello, err := c.nextObject()
	if err != nil || hello.Type != "hello" {
		return 0, fmt.Errorf("hello is %+v: %w", hello, err)
	}
	acked = hello.Ack
	upTo := min(end, acked+1+uint64(r.IntN(200)))
	var all []byte
	for n := acked + 1; n <= upTo; n++ {
		i := int(n - 1)
		all = append(all, text(said(n, string(numbered(i, 20+i%300))))...)
	}
	if upTo < end && r.IntN(2) == 0 {
		all = all[:len(all)-r.IntN(min(300, len(all)))] // torn
		_, err = c.Write(all)
		return acked, err
	}
	if _, err = c.Write(all); err != nil {
		return acked, err
	}
	for acked < upTo && (upTo == end || r.IntN(3) > 0) {
		ack, err := c.nextObject()
		if err != nil {
			return acked, err
		}
		acked = ack.N
	}
	return acked, nil
}

// Who has nothing more to say is served to the end, then closed with 1000.
func TestWhoSaysEndIsServedToTheEnd(t *testing.T) {
	t.Parallel()
	const n, size = 200, 20_000
	s := openAny(t, hubbub.Options{Replay: hubbub.ReplayAll})
	for i := range n {
		s.says(string(numbered(i, size)))
	}
	c := s.narrowSocket("/", speaksV1)
	c.object("hello")
	c.Says(text(said(0, "goodbye")) + text(`{"type":"end"}`))
	s.hears("1 goodbye")
	s.says("too late")
	for i := range n {
		if m := c.object("message"); m.Text != string(numbered(i, size)) {
			t.Fatalf("message %d is %s", i, scene.Brief(m.Text))
		}
	}
	c.hearsClose(1000)
	if reason := s.leaves(1); reason != "done" {
		t.Errorf("it left because %q", reason)
	}
}
