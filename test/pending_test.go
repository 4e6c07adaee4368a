//go:build unix

package hubbub_test

// What a connection speaks is told from its first bytes, however they come.

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"hubbub.example"
	"hubbub.example/internal/scene"
)

// Each opening leads to what it is, at once or byte by byte.
func TestEachOpeningIsTold(t *testing.T) {
	t.Parallel()
	everyAny(t, func(t *testing.T, address string) {
		for _, c := range []struct {
			opening, answer, heard string
		}{
			{"hello\n", "", "hello"},
			{"GETTING\n", "", "GETTING"},
			{"P\n", "", "P"},
			{"\x16\x02\n", "", "\x16\x02"},
			{"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200", ""},
			{"GET /nowhere HTTP/1.0\r\nHost: localhost\n\n", "HTTP/1.0 404", ""},
			{"HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "HTTP/1.1 200", ""},
			{"DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 405", ""},
			{"GET me a beer\r\n\r\n", "HTTP/1.1 400", ""},
			{"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 40_000), "HTTP/1.1 431", ""},
		} {
			for _, bytewise := range []bool{false, true} {
				if bytewise && len(c.opening) > 1000 {
					continue
				}
				if strings.HasPrefix(address, "unix:") {
					address = unixAddress(t)
				}
				s := openAt(t, address, unhurried(hubbub.Options{}))
				p := dial(t, s.at)
				if bytewise {
					for i := range len(c.opening) {
						p.Says(c.opening[i : i+1])
						runtime.Gosched() // as often as not, the hub looks at each
					}
				} else if _, err := io.WriteString(p, c.opening); err != nil && c.answer == "" {
					t.Fatal(err) // a head too long may not be read to its end
				}
				if c.heard != "" {
					s.hears("1 " + c.heard)
					continue
				}
				if line, _ := p.R.ReadString('\n'); !strings.HasPrefix(line, strings.Replace(c.answer, "1.0", "1.", 1)[:7]) || !strings.Contains(line, c.answer[8:]) {
					t.Errorf("%s, byte by byte: %v is answered with %q", scene.Brief(c.opening), bytewise, line)
				}
				if n := s.Stats(); n.Joins != 0 || n.Clients != 0 || len(s.events.All()) != 0 {
					t.Errorf("%s counts as a client", scene.Brief(c.opening))
				}
			}
		}
	})
}

// A TLS handshake and HTTP/2 are refused, counted and said, once in a while.
func TestWhatIsNotSpokenIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ opening, said string }{
		{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS"},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2"},
	} {
		for _, scheme := range []string{"", "http://"} {
			s := openAt(t, scheme+"127.0.0.1:0", unhurried(hubbub.Options{}))
			for i := range 3 {
				p := dial(t, s.at)
				p.Says(c.opening[:1])
				p.Says(c.opening[1:])
				p.HearsEnd()
				scene.Until(t, "it is counted", func() bool { return s.Stats().Refused == int64(i+1) })
			}
			s.logs(c.said)
			if all := s.log.All(); len(all) != 1 {
				t.Errorf("it was said %q", all)
			}
			if n := s.Stats(); n.Joins != 0 || n.Clients != 0 {
				t.Errorf("it counts as a client: %+v", n)
			}
		}
	}
}

// Who says nothing is no client before there is something to be sent to it, and
// it has had time to speak. Then it has all that was broadcast since it came.
func TestASilentClientMissesNothing(t *testing.T) {
	t.Parallel()
	everyAny(t, func(t *testing.T, address string) {
		for _, half := range []bool{false, true} {
			const sniff = 200 * time.Millisecond
			s := openUnasked(t, address, hubbub.Options{Sniff: sniff, Replay: hubbub.ReplayNone})
			s.take()
			s.says("before it came")
			began := time.Now()
			p := dial(t, s.at)
			if half {
				p.Done() // `ncat host 9000 </dev/null` watches
			}
			// Others are not asked to wait until it is known what this one is.
			if code, _ := s.get("/healthz"); code != http.StatusOK {
				t.Fatal(code)
			}
			if n := s.Stats(); n.Joins != 0 || n.Clients != 0 {
				t.Errorf("it is a client before it is known what it speaks: %+v", n)
			}
			s.says("one", "two")
			p.Hears("one\n")
			if took := time.Since(began); took < sniff*9/10 {
				t.Errorf("it had only %v to speak", took)
			} else if took > sniff+8*time.Second { // a request would have ten
				t.Errorf("it waited %v", took)
			}
			p.Hears("two\n")
			scene.Until(t, "it is counted once", func() bool { n := s.Stats(); return n.Joins == 1 && n.Clients == 1 })
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Somebody who asks slowly does not have the silent wait for longer.
func TestASlowRequestDelaysNoSilentClient(t *testing.T) {
	t.Parallel()
	s := openUnasked(t, "127.0.0.1:0", hubbub.Options{Sniff: 50 * time.Millisecond})
	s.take()
	asks := dial(t, s.at)
	asks.Says("GET / HTTP/1.1\r\n")
	p := dial(t, s.at)
	passes(100 * time.Millisecond)
	began := time.Now()
	s.says("hello")
	p.Hears("hello\n")
	if took := time.Since(began); took > 9*time.Second { // a slow request has ten
		t.Errorf("it waited %v", took)
	}
}

// A request line that comes after a silent client was taken for a raw one closes
// it with a word in the log, and is never received.
func TestARequestThatComesTooLateIsNotReceived(t *testing.T) {
	t.Parallel()
	line := "POST / HTTP/1.1\r\n"
	for split := 0; split < len(line); split += 2 {
		s := openAny(t, hubbub.Options{Sniff: time.Millisecond})
		var p *peer
		s.join(1, func() { p = dial(t, s.at) })
		if split > 0 {
			p.Says(line[:split])
			passes(2 * time.Millisecond) // perhaps a turn later
		}
		_, _ = io.WriteString(p, line[split:]+"\r\nrm -rf\n")
		if reason := s.leaves(1); !strings.Contains(reason, "HTTP request") {
			t.Errorf("it left because %q", reason)
		}
		if got := texts(s.events.All()); len(got) > 0 {
			t.Errorf("split at %d: %q was received", split, got)
		}
		s.logs("HTTP request")
		if n := len(s.log.All()); n != 1 {
			t.Errorf("the hub said %q", s.log.All())
		}
	}
}

// An address for raw clients only takes them without a wait, whatever they open
// with, but no web page's request.
func TestAnAddressForRawClients(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		framing hubbub.Framing
		says    string
		heard   []string
	}{
		{hubbub.FramingLines, "GET me a beer\n", []string{"GET me a beer"}},
		{hubbub.FramingLines, "GET / HTTP/1.1x\n", []string{"GET / HTTP/1.1x"}},
		{hubbub.FramingLines, "hello\nGET / HTTP/1.1\n", []string{"hello", "GET / HTTP/1.1"}},
		{hubbub.FramingLines, "\x16\x03\x01\n", []string{"\x16\x03\x01"}},
		{hubbub.FramingNUL, "GET \x00", []string{"GET "}},
		{hubbub.FramingRaw, "P", []string{"P"}},
		{hubbub.Framing(1), "GE", []string{"G", "E"}},
		{hubbub.Framing(2), "PO", []string{"PO"}},
		{hubbub.FramingLines, "GET / HTTP/1.1\r\n\r\n", nil},
		{hubbub.FramingNUL, "OPTIONS * HTTP/1.1\n\x00", nil},
		{hubbub.FramingRaw, "GET / HTTP/1.1\r\n\r\n", nil},
		{hubbub.Framing(4), "GET / HTTP/1.1\r\n\r\n", nil},
		{hubbub.FramingLines, "GET /" + strings.Repeat("x", 20_000), nil},
	} {
		s := open(t, hubbub.Options{Framing: c.framing})
		p := s.client()
		_, _ = io.WriteString(p, c.says)
		if c.heard == nil {
			s.leaves(1)
			if got := texts(s.events.All()); len(got) > 0 {
				t.Errorf("%v: of %s %q was received", c.framing, scene.Brief(c.says), got)
			}
			continue
		}
		var want []string
		for _, m := range c.heard {
			want = append(want, "1 "+m)
		}
		s.hears(want...)
	}
}

// An address for HTTP has no raw clients: what is no request is told so.
func TestAnAddressForHTTP(t *testing.T) {
	t.Parallel()
	s := openAt(t, "http://127.0.0.1:0", hubbub.Options{Sniff: time.Millisecond})
	silent := dial(t, s.at)
	p := dial(t, s.at)
	p.Says("hello\n\n")
	if answer := p.answered(http.MethodGet); answer.StatusCode != http.StatusBadRequest {
		t.Errorf("it is told %s", answer.Status)
	}
	s.says("one", "two")
	passes(20 * time.Millisecond)
	if answer := silent.asks(http.MethodGet, "/"); answer.StatusCode != http.StatusOK {
		t.Error(answer.Status)
	}
	silent.Hears("one\ntwo\n") // since it came
	if got := texts(s.events.All()); len(got) > 0 {
		t.Errorf("%q was received", got)
	}
}

// A pending connection that closes frees its descriptor, however far it came.
func TestAPendingConnectionThatClosesIsForgotten(t *testing.T) {
	before, _ := scene.Pipe(t)
	_ = before.Close()
	s := openUnasked(t, "127.0.0.1:0", hubbub.Options{Sniff: time.Minute, Loops: 2})
	s.take()
	still := inUse(t)
	for _, opening := range []string{"", "P", "GET / HT", "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Le"} {
		for _, how := range []func(p *peer){func(p *peer) { _ = p.Close() }, (*peer).Reset, func(p *peer) { p.Done(); _ = p.Close() }} {
			var all []*peer
			for range 10 {
				p := dial(t, s.at)
				p.Says(opening)
				all = append(all, p)
			}
			for _, p := range all {
				how(p)
			}
		}
	}
	// Over TCP one that has said nothing, and ends its side, may watch.
	scene.Until(t, "what it said is all that is left of it", func() bool {
		s.says("anyone?")
		return inUse(t).within(used{still.descriptors + 20, still.goroutines})
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	scene.Until(t, "nothing is left", func() bool { return inUse(t).within(still) })
}

// Pending connections keep a hub neither from draining nor from closing.
func TestAHubEndsWithPendingConnections(t *testing.T) {
	t.Parallel()
	for _, drain := range []bool{false, true} {
		s := openUnasked(t, "127.0.0.1:0", hubbub.Options{Sniff: time.Minute, Loops: 2})
		s.take()
		var all []*peer
		for _, opening := range []string{"", "P", "GET / HT", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"} {
			p := dial(t, s.at)
			p.Says(opening)
			all = append(all, p)
		}
		if answer := all[3].answered(http.MethodGet); answer.StatusCode != http.StatusOK {
			t.Fatal(answer.Status)
		}
		s.says("one")
		began := time.Now()
		if drain {
			ended := begins(func() error { return s.Drain(patient(t), scene.LongEnough) })
			all[0].Hears("one\n")
			_ = all[0].Close()
			_ = all[1].Close()
			if err := ended(); err != nil {
				t.Error(err)
			}
		} else if err := s.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 8*time.Second { // a slow request has ten
			t.Errorf("drains: %v, it took %v", drain, took)
		}
	}
}

// A hub that is full says so to everybody, in his own words.
func TestAFullHubSaysSo(t *testing.T) {
	t.Parallel()
	s := openAny(t, hubbub.Options{MaxClients: 2})
	s.raw()
	s.socket("/")
	p := dial(t, s.rawAt)
	p.Hears("hubbub: refused: the server is full (2 clients)\n")
	p.HearsEnd()
	for _, headers := range [][]string{nil, {acceptEvents}, handshake, append([]string{speaksV1}, handshake...)} {
		if code, body := s.get("/", headers...); code != http.StatusServiceUnavailable || !strings.Contains(body, "full") {
			t.Errorf("%v is answered with %d %q", headers, code, body)
		}
	}
	if code := s.posts("/", "hello\n"); code != http.StatusServiceUnavailable {
		t.Errorf("a post is answered with %d", code)
	}
	if code, _ := s.get("/healthz"); code != http.StatusOK {
		t.Errorf("/healthz is answered with %d", code)
	}
	s.has(2)
}

// When all places for requests are taken the others wait, and are served when
// one comes free.
func TestRequestsWaitForAPlace(t *testing.T) {
	t.Parallel()
	const places, more = 256, 40
	s := openAny(t, hubbub.Options{})
	var slow []net.Conn
	for range places { // a body that nobody wants is waited for
		p := dial(t, s.at)
		p.Says(request("PUT", "/", "Content-Length: 10"))
		slow = append(slow, p)
	}
	err := together(more, func(int) error {
		c, err := scene.Connect(s.at, nil)
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := io.WriteString(c, request(http.MethodGet, "/healthz", "Connection: close")); err != nil {
			return err
		}
		answer, err := io.ReadAll(c)
		if err == nil && !strings.HasPrefix(string(answer), "HTTP/1.1 200") {
			err = fmt.Errorf("%q", answer)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	for _, c := range slow {
		_ = c.Close()
	}
}

// What is told of those who are there is right.
func TestClientsAreListed(t *testing.T) {
	t.Parallel()
	s := openAny(t, hubbub.Options{Loops: 2, Replay: hubbub.ReplayNone})
	s.says("before")
	raw, plain, events, bare := s.raw(), s.stream("/"), s.sse("/?name=eve"), s.socket("/?name=ann")
	v, hello := s.v1("/?name=" + strings.Repeat("n", 64))
	post := dial(t, s.at)
	post.Says(request(http.MethodPost, "/?name=bob", chunked) + chunk("one\ntwo\nhalf"))
	raw.Says("one\ntwo\nha")
	bare.Says(text("one"))
	v.saysV1(1, "one", "two", "three")
	s.says("hello", "again")
	raw.Hears("hello\nagain\n")
	plain.Hears("hello\nagain\n")
	events.event()
	events.event()
	bare.hearsText("hello", "again")
	for o := (v1{}); o.Seq != 3; o, _ = v.nextObject() {
	}
	scene.Until(t, "all is heard", func() bool { return s.Stats().MessagesIn == 8 })
	frames := 3*len(text(said(1, "one"))) + len("two") - len("one") + len("three") - len("one")
	type figures struct {
		protocol, name  string
		in, out, inSize int64
		outSize         int
	}
	want := map[uint64]figures{
		1: {"raw", "", 2, 2, 10, len("hello\nagain\n")},
		2: {"text", "", 0, 2, 0, len("hello\nagain\n")},
		3: {"sse", "eve", 0, 2, 0, 2 * len("id: "+point(hello.Epoch, 2)+"\ndata: hello\n\n")},
		4: {"websocket", "ann", 1, 2, int64(len(text("one"))), 2 * len("..hello")},
		5: {"hubbub.v1", strings.Repeat("n", 64), 3, 2, int64(frames), 0},
		6: {"post", "bob", 2, 0, 12, 0}, // half a message is counted as soon as it is read, as anybody's
	}
	var got listed
	scene.Until(t, "all is told", func() bool {
		got = s.listed()
		return len(got.Clients) == len(want)
	})
	for _, c := range got.Clients {
		w := want[c.ID]
		if c.Protocol != w.protocol || c.Name != w.name || c.Lag != 0 || c.In.Messages != w.in || c.Out.Messages != w.out || c.In.Bytes != w.inSize || w.outSize > 0 && c.Out.Bytes != int64(w.outSize) {
			t.Errorf("client %d is told of as %+v, want %+v", c.ID, c, w)
		}
		if at, err := time.Parse(time.RFC3339, c.Since); err != nil || time.Since(at) > time.Minute || !strings.HasPrefix(c.Addr, "127.0.0.1:") {
			t.Errorf("client %d came %q from %q", c.ID, c.Since, c.Addr)
		}
	}
	if code, body := s.get("/healthz"); code != http.StatusOK || body != fmt.Sprintf(`{"status":"ok","epoch":%q,"seq":3,"clients":6}`+"\n", hello.Epoch) {
		t.Errorf("/healthz is %d %s", code, body)
	}
	if code, _ := s.get("/clients", "X-Forwarded-For: 192.0.2.7"); code != http.StatusForbidden {
		t.Errorf("through a proxy /clients is %d", code)
	}
}

// What a client skipped it was not sent, and what it has yet to be sent is its lag.
func TestTheFiguresOfASlowClient(t *testing.T) {
	t.Parallel()
	const n, size = 1500, 1000
	s := openAny(t, hubbub.Options{Slow: hubbub.SlowSkip, Backlog: 256 << 10, SocketOptions: []string{"SO_SNDBUF=16384"}})
	c := s.narrowSocket("/?last=0", speaksV1)
	for i := range n {
		s.says(string(numbered(i, size)))
	}
	if lag := s.listed().Clients[0].Lag; lag < 100<<10 || lag > 256<<10 {
		t.Errorf("its lag is %d", lag)
	}
	messages := int64(0)
	for last := uint64(0); last < n; {
		o, err := c.nextObject()
		if err != nil {
			t.Fatal(err)
		}
		last = max(last, o.Seq)
		if o.Type == "message" {
			messages++
		}
	}
	if messages == n {
		t.Fatal("it skipped nothing")
	}
	var told int64
	scene.Until(t, "the figures are right", func() bool {
		told = s.listed().Clients[0].Out.Messages
		return told == messages && s.Stats().Skipped == n-messages
	})
}

// A request for who is there may come at any moment, also while clients break.
func TestClientsAreListedWhileTheyBreak(t *testing.T) {
	t.Parallel()
	s := openUntaken(t, "127.0.0.1:0", unhurried(hubbub.Options{Backlog: 64 << 10}))
	asks := dial(t, s.at) // nobody is accepted while the inbox is full
	if answer := asks.asks(http.MethodGet, "/clients"); answer.StatusCode != http.StatusOK {
		t.Fatal(answer.Status)
	} else if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		t.Fatal(err)
	}
	filler := s.raw()
	go func() { _, _ = filler.Write(slices.Repeat([]byte("filler\n"), 2_000_000)) }()
	s.readsNoMore()
	p := s.socket("/?last=0")
	p.Says(text("unread"))
	scene.Until(t, "it is there", func() bool { return p.unacked() == 0 })
	p.Reset()
	for i := range 300 {
		s.says(string(numbered(i, 1000)))
	}
	if answer := asks.asks(http.MethodGet, "/clients"); answer.StatusCode != http.StatusOK {
		t.Error(answer.Status)
	}
	s.take()
}
