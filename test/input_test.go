//go:build unix

package hubbub_test

// What clients send comes out whole and unmixed, however it arrives, and no
// client's way of sending costs another one anything.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"hubbub.example/internal/scene"

	"hubbub.example"
)

// While a client is in the middle of a line, everything else goes on: others'
// lines, broadcasts, new clients. The other half then makes it whole.
func TestHalfLineBlocksNobody(t *testing.T) {
	t.Parallel()
	everyNetwork(t, func(t *testing.T, address string) {
		s := openAt(t, address, hubbub.Options{Loops: 1})
		halves := s.clients(3)
		for _, p := range halves {
			p.Says("first half, ")
		}
		other := s.client()
		other.Says("whole\n")
		s.hears("4 whole")
		all := append(halves, other, s.client())
		s.says("hello")
		for _, p := range all {
			p.Hears("hello\n")
		}
		halves[1].Says("second half\n")
		s.hears("4 whole", "2 first half, second half")
	})
}

// Messages that arrive in one piece come out each by itself, all at once: none
// waits for the next piece.
func TestLinesReadTogetherAllGoOut(t *testing.T) {
	t.Parallel()
	everyNetwork(t, func(t *testing.T, address string) {
		s := openAt(t, address, hubbub.Options{})
		s.client().Says("one\n\ntwo\r\nthree\nfo")
		s.hears("1 one", "1 ", "1 two", "1 three")
	})
}

// Many clients send their messages in halves, at the same time: each message
// comes out whole, and each client's in order.
func TestMessagesStayWhole(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		framing    hubbub.Framing
		ends, gets string // a message's end as sent, and what of it comes out
	}{
		{hubbub.FramingLines, "\n", ""},
		{hubbub.FramingLines, "\r\n", ""},
		{hubbub.FramingLines, "\r\r\n", "\r"},
		{hubbub.FramingNUL, "\x00", ""},
		{hubbub.Framing(30), "", ""},
	} {
		t.Run(fmt.Sprintf("%s %q", c.framing, c.ends), func(t *testing.T) {
			everyNetwork(t, func(t *testing.T, address string) {
				const clients, each, size = 12, 60, 30
				s := openAt(t, address, hubbub.Options{Framing: c.framing, Loops: 2})
				err := together(clients, func(int) error {
					p, err := scene.Connect(s.at, nil)
					if err != nil {
						return err
					}
					for i := range each {
						message := append(numbered(i, size), c.ends...)
						half := i % len(message)
						// Two segments: TCP_NODELAY is on in Go.
						if _, err := p.Write(message[:half]); err != nil {
							return err
						}
						if _, err := p.Write(message[half:]); err != nil {
							return err
						}
					}
					return p.Close()
				})
				if err != nil {
					t.Fatal(err)
				}
				s.events.When(t, "everybody has left", func(all []hubbub.Event) bool { return left(all) == clients })
				next := map[string]int{}
				for _, text := range texts(s.events.All()) {
					id, text, _ := strings.Cut(text, " ")
					if want := string(numbered(next[id], size)) + c.gets; text != want {
						t.Fatalf("from client %s came %q, want %q", id, text, want)
					}
					next[id]++
				}
				for id, n := range next {
					if n != each {
						t.Errorf("from client %s came %d messages, want %d", id, n, each)
					}
				}
				if len(next) != clients {
					t.Errorf("messages of %d clients came, want %d", len(next), clients)
				}
			})
		})
	}
}

// left returns how many clients left.
func left(events []hubbub.Event) int {
	n := 0
	for _, e := range events {
		if e.Kind == hubbub.Leave {
			n++
		}
	}
	return n
}

// With Raw bytes come as they are, all of them, in each client's order.
func TestRawBytesComeAsTheyAre(t *testing.T) {
	t.Parallel()
	everyNetwork(t, func(t *testing.T, address string) {
		s := openAt(t, address, hubbub.Options{Framing: hubbub.FramingRaw, MaxMessage: 1000}) // of which there is none
		p := s.client()
		var want []byte
		for i := range 200 {
			piece := bytes.Repeat([]byte{byte(i)}, 1+i*i%5000)
			want = append(want, piece...)
			p.Says(string(piece))
		}
		p.Done()
		s.leaves(1)
		var got []byte
		for _, e := range s.events.All() {
			got = append(got, e.Data...)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes came, want the %d that were sent", len(got), len(want))
		}
	})
}

// Every byte may stand in a message, but its separator; none does any harm.
func TestHostileBytes(t *testing.T) {
	t.Parallel()
	everyNetwork(t, func(t *testing.T, address string) {
		s := openAt(t, address, hubbub.Options{})
		var all []byte
		for i := range 256 {
			if i != '\n' {
				all = append(all, byte(i))
			}
		}
		messages := []string{
			"\x00", "\r", "\r\r", " \r \x00\r", string(all), "\xff\xfe\xfd", "\x1b[2J\x1b]0;title\a", "\u202ereversed",
			"GET / HTTP/1.1\r", strings.Repeat("\x00", 10_000), strings.Repeat("\r", 70_000),
		}
		p := s.client()
		var want []string
		for _, m := range messages {
			p.Says(m + "\n")
			want = append(want, "1 "+strings.TrimSuffix(m, "\r"))
		}
		s.hears(want...)
		s.says(string(all))
		p.Hears(string(all) + "\n")
	})
}

// A line of just the longest length, in all sizes around what is read at a
// time, comes out whole, between the small ones of others.
func TestAMegabyteLine(t *testing.T) {
	t.Parallel()
	everyNetwork(t, func(t *testing.T, address string) {
		s := openAt(t, address, hubbub.Options{MaxMessage: 1 << 20, Backlog: 8 << 20})
		sizes := []int{64<<10 - 1, 64 << 10, 64<<10 + 1, 128<<10 - 1, 128 << 10, 1<<20 - 1, 1 << 20}
		peers := s.clients(len(sizes) + 1)
		small := peers[len(sizes)]
		speaking := begins(func() error {
			return together(len(sizes), func(i int) error {
				_, err := peers[i].Write(append(bytes.Repeat([]byte{byte('a' + i)}, sizes[i]), '\n'))
				return err
			})
		})
		for i := range 50 {
			small.Says(fmt.Sprintf("%d\n", i))
		}
		if err := speaking(); err != nil {
			t.Fatal(err)
		}
		all := s.events.When(t, "all lines", func(all []hubbub.Event) bool { return len(texts(all)) == len(sizes)+50 })
		for i, size := range sizes {
			long := strings.Repeat(string(rune('a'+i)), size)
			if !slices.ContainsFunc(all, func(e hubbub.Event) bool { return string(e.Data) == long }) {
				t.Errorf("a line of %d bytes did not come out whole", size)
			}
		}
		// And the same way round.
		long := strings.Repeat("x", 1<<20)
		s.says(long)
		small.Hears(long + "\n")
	})
}

// A line that is too long closes its sender, with a word in the log, and is
// noticed by nobody else, whether it comes at once or bit by bit, and whether
// or not it ever ends.
func TestTooLongALineClosesOnlyItsSender(t *testing.T) {
	t.Parallel()
	everyNetwork(t, func(t *testing.T, address string) {
		const most = 1000
		s := openAt(t, address, hubbub.Options{MaxMessage: most})
		other := s.client()
		other.Says("first half, ")
		for i, line := range []string{
			strings.Repeat("x", most+1) + "\n",
			strings.Repeat("x", most+2),
			"short\n" + strings.Repeat("x", most+1) + "\nshort\n",
			strings.Repeat("x", 300_000),
		} {
			p := s.client()
			for piece := range slices.Chunk([]byte(line), 70_000) {
				if _, err := p.Write(piece); err != nil {
					break // it is closed already
				}
			}
			id := uint64(i + 2)
			if reason := s.leaves(id); reason != "sent a message longer than 1000 B" {
				t.Errorf("client %d left because %q", id, reason)
			}
			p.HearsEnd()
			_ = p.Close()
		}
		s.logs("client 2 (")
		longest := strings.Repeat("x", most)
		s.client().Says(longest + "\n")
		other.Says("second half\n")
		all := s.events.When(t, "what was not too long", func(all []hubbub.Event) bool { return len(texts(all)) >= 3 })
		for _, text := range texts(all) {
			switch text {
			case "6 " + longest, "1 first half, second half", "4 short": // the one before, not the one after
			default:
				t.Errorf("there came %s", scene.Brief(text))
			}
		}
		s.says("on we go")
		other.Hears("on we go\n")
	})
}

// Clients that are cut for a line that is too long do not get in the way of
// what was read from others in the same turn, nor of their own lines before.
func TestACutMixesNothing(t *testing.T) {
	t.Parallel()
	const clients, size, lines = 12, 63, 3000
	s := openUntaken(t, "tcp://127.0.0.1:0", hubbub.Options{Loops: 1, MaxMessage: 1000, Inbox: hubbub.InboxMessages})
	peers := s.clients(clients)
	talking := begins(func() error {
		return together(clients, func(i int) error {
			if i%3 == 0 {
				// In the middle of a line while the inbox fills up.
				_, err := fmt.Fprintf(peers[i], "half %s\n%s", bytes.Repeat([]byte("x"), 900), bytes.Repeat([]byte("x"), 60_000))
				return err
			}
			for n := range lines {
				if _, err := peers[i].Write(append(numbered(n, size), '\n')); err != nil {
					return err
				}
			}
			return scene.EndSending(peers[i].Conn)
		})
	})
	s.readsNoMore()
	taking := begins(func() error {
		next, want := map[uint64]int{}, clients/3*2*lines+clients/3
		for e := range s.Events(context.Background()) {
			switch {
			case bytes.Equal(e.Data, numbered(next[e.Client], size)):
				next[e.Client]++
			case !bytes.HasPrefix(e.Data, []byte("half ")) || len(e.Data) != 905:
				return fmt.Errorf("from client %d, after %d messages, came %s", e.Client, next[e.Client], scene.Brief(string(e.Data)))
			}
			if want--; want == 0 {
				return nil
			}
		}
		return errors.New("the hub closed")
	})
	if err := errors.Join(talking(), taking()); err != nil {
		t.Fatal(err)
	}
}

// A client that goes on sending after it was cut is read for a while, so that
// the end reaches it, but not for ever.
func TestWhoIsCutCannotStay(t *testing.T) {
	t.Parallel()
	everyNetwork(t, func(t *testing.T, address string) {
		s := openAt(t, address, hubbub.Options{MaxMessage: 1000})
		p := s.client()
		go func() { _, _ = io.Copy(p, endless{}) }()
		s.leaves(1)
		s.has(0)
	})
}

// endless is bytes without end and without a separator.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// Clients that send as fast as they are read keep nobody else from being
// read, sent to or accepted: the loop never comes to the end of what they say.
func TestFlooderStarvesNobody(t *testing.T) {
	t.Parallel()
	everyNetwork(t, func(t *testing.T, address string) {
		s := openUntaken(t, address, hubbub.Options{Loops: 1, Backlog: 1 << 20})
		quiet := s.client()
		said := make(chan string, 1)
		var flood atomic.Int64
		go func() {
			for e := range s.Events(context.Background()) {
				if bytes.HasPrefix(e.Data, []byte("quiet")) {
					said <- string(e.Data)
				} else {
					flood.Add(int64(len(e.Data)))
				}
			}
		}()
		for range 3 {
			go talks(s.client())
		}
		scene.Until(t, "the flood is high", func() bool { return flood.Load() > 4<<20 })
		for i := range 30 {
			quiet.Says(fmt.Sprintf("quiet %d\n", i))
			select {
			case got := <-said:
				s.says(got)
			case <-time.After(scene.LongEnough):
				t.Fatal("the quiet one is not heard")
			}
			quiet.Hears(fmt.Sprintf("quiet %d\n", i))
		}
		s.says("for all")
		s.client()
		quiet.Hears("for all\n")
	})
}

// When nobody takes what clients send, they are not read any more; when joins
// have filled the inbox too, nobody is accepted. Broadcasting goes on. Then
// all goes on where it was, and nothing is missing.
func TestAnInboxThatIsNotTaken(t *testing.T) {
	t.Parallel()
	everyNetwork(t, func(t *testing.T, address string) {
		const clients, size = 4, 50
		s := openUntaken(t, address, hubbub.Options{Loops: 2, Backlog: 8 << 20, Replay: hubbub.ReplayAll})
		peers := s.clients(clients)
		var said [clients]atomic.Int64
		stop := make(chan struct{})
		talking := begins(func() error {
			return together(clients, func(i int) error { return tell(peers[i], size, &said[i], stop) })
		})
		s.readsNoMore()
		late := dial(t, s.at) // waits to be accepted, or is; it does not matter
		for i := range 500 {
			s.says(string(numbered(i, 1000)))
		}
		for i, p := range peers {
			if err := followAll(p.R, 1000, 500); err != nil {
				t.Fatalf("client %d: %v", i, err)
			}
		}
		close(stop)
		var got [clients + 1]int64
		taking := begins(func() error { return takeAll(s.Hub, size, got[:], clients) })
		if err := talking(); err != nil {
			t.Fatal(err)
		}
		if err := taking(); err != nil {
			t.Fatal(err)
		}
		for i := range clients {
			if want := said[i].Load(); !slices.Contains(got[:clients], want) {
				t.Errorf("client %d said %d messages; of such there came %d", i, want, got)
			}
		}
		if err := followAll(late.R, 1000, 500); err != nil {
			t.Errorf("who came meanwhile: %v", err)
		}
	})
}

// tell says numbered messages until stop, then leaves.
func tell(p *peer, size int, said *atomic.Int64, stop <-chan struct{}) error {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return scene.EndSending(p.Conn)
		default:
		}
		if _, err := p.Write(append(numbered(i, size), '\n')); err != nil {
			return err
		}
		said.Add(1)
	}
}

// takeAll takes numbered messages until n clients have left, and counts those
// of each.
func takeAll(h *hubbub.Hub, size int, got []int64, n int) error {
	for e := range h.Events(context.Background()) {
		switch e.Kind {
		case hubbub.Leave:
			if n--; n == 0 {
				return nil
			}
		case hubbub.Message:
			next := &got[e.Client-1]
			if !bytes.Equal(e.Data, numbered(int(*next), size)) {
				return fmt.Errorf("from client %d came %q, want number %d", e.Client, e.Data, *next)
			}
			*next++
		}
	}
	return errors.New("the hub closed")
}

// With an inbox of joins alone that nobody takes, accepting pauses: nothing is
// kept without bound. Who waits is accepted when it is taken.
func TestJoinsThatNobodyTakes(t *testing.T) {
	t.Parallel()
	s := openUntaken(t, "tcp://127.0.0.1:0", hubbub.Options{Loops: 1, Inbox: hubbub.InboxPresence})
	const clients = 1000 // more than a turn accepts, times the batches there are
	err := together(clients, func(int) error {
		c, err := scene.Connect(s.at, nil)
		if err == nil {
			t.Cleanup(func() { _ = c.Close() })
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := s.Stats().Joins; n > clients/2 {
		t.Errorf("%d of %d were accepted, though nobody takes the joins", n, clients)
	}
	joined := 0
	for e := range s.Events(context.Background()) {
		if e.Kind != hubbub.Join || e.Client != uint64(joined+1) {
			t.Fatalf("there came %v, want the join of client %d", e, joined+1)
		}
		if joined++; joined == clients {
			break
		}
	}
}

// The same when it is another loop than the accepting one whose visitors come
// and go.
func TestVisitorsThatNobodyTakes(t *testing.T) {
	t.Parallel()
	s := openUntaken(t, "tcp://127.0.0.1:0", hubbub.Options{Loops: 2, Inbox: hubbub.InboxPresence})
	const stay, visitors = 20, 2000
	for range stay { // so that the first loop has the more clients
		dial(t, s.at)
	}
	_ = together(8, func(int) error {
		for range visitors / 8 {
			if c, err := scene.Connect(s.at, nil); err == nil {
				_ = scene.Reset(c)
			}
		}
		return nil
	})
	if n := s.Stats().Joins; n > visitors/2 {
		t.Errorf("%d joined, though nobody takes the joins", n)
	}
}

// With InboxNone what clients send is read, counted and forgotten; with
// InboxMessages joins and leaves are not told.
func TestInboxKinds(t *testing.T) {
	t.Parallel()
	t.Run("none", func(t *testing.T) {
		s := openUntaken(t, "tcp://127.0.0.1:0", hubbub.Options{Inbox: hubbub.InboxNone})
		p := s.client()
		p.Says(strings.Repeat("nobody wants to know\n", 100_000))
		p.Done()
		p.HearsEnd()
		scene.Until(t, "all is counted", func() bool { return s.Stats().BytesIn == 2_100_000 })
		if b := s.TryReceive(); b != nil {
			t.Error("there is something in the inbox")
		}
	})
	t.Run("messages", func(t *testing.T) {
		s := open(t, hubbub.Options{Inbox: hubbub.InboxMessages})
		p := s.client()
		p.Says("hello\n")
		p.Done()
		p.HearsEnd()
		s.client().Says("hello again\n")
		s.hears("1 hello", "2 hello again")
		if n := len(s.events.All()); n != 2 {
			t.Errorf("%d events came, want the two messages", n)
		}
	})
}

// A batch gives the same twice: as events and as bytes that only want to be
// printed.
func TestABatchIsEventsAndBytes(t *testing.T) {
	t.Parallel()
	s := openUntaken(t, "tcp://127.0.0.1:0", hubbub.Options{Framing: hubbub.FramingNUL})
	p := s.client()
	p.Says("a\x00\x00b\nc\x00un")
	p.Done()
	var plain, events strings.Builder
	for {
		b, err := s.Receive(patient(t))
		if err != nil {
			t.Fatal(err)
		}
		plain.Write(b.Plain())
		for e := range b.Events() {
			fmt.Fprintf(&events, "%s %d %q,", e.Kind, e.Client, e.Data)
			if e.Addr != p.LocalAddr().String() || time.Since(e.Time) > scene.LongEnough {
				t.Errorf("event %+v", e)
			}
		}
		b.Release()
		if strings.Contains(events.String(), "leave") {
			break
		}
	}
	if got, want := plain.String(), "a\x00\x00b\nc\x00un\x00"; got != want {
		t.Errorf("Plain gives %q, want %q", got, want)
	}
	if got, want := events.String(), `join 1 "",message 1 "a",message 1 "",message 1 "b\nc",message 1 "un",leave 1 "",`; got != want {
		t.Errorf("the events are %s, want %s", got, want)
	}
}

// A last record that is not whole is no message: it is dropped, and said.
func TestALastRecordMustBeWhole(t *testing.T) {
	t.Parallel()
	s := open(t, hubbub.Options{Framing: hubbub.Framing(4)})
	p := s.client()
	p.Says("12345678abc")
	p.Done()
	p.HearsEnd()
	s.hears("1 1234", "1 5678")
	s.logs("client 1: its last 3 bytes are no whole record and are dropped")
}

// Of many that are cut for the same reason the log says the first few in full, then
// how many others there were and what of theirs is lost; events tell of each.
func TestManyThatAreCutAreSummedUp(t *testing.T) {
	t.Parallel()
	const many = 200
	s := openAny(t, hubbub.Options{MaxMessage: 1000, Loops: 2})
	var peers []*peer
	for range many {
		peers = append(peers, s.socket("/").peer)
	}
	for i, p := range peers {
		p.Says(string(frame(ws.OpBinary, true, make([]byte, 1001+i))))
	}
	other := s.socket("/")
	other.Says("\x81\x01a") // not masked
	for i := range many + 1 {
		s.leaves(uint64(i + 1))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	first, others, breaches := 0, 0, 0
	var unread string
	for _, line := range s.log.All() {
		var n int
		_, err := fmt.Sscanf(line, "and %d other", &n)
		switch {
		case strings.Contains(line, "closed: sent a message longer than 1000 B"):
			first++
		case err == nil && strings.Contains(line, "closed: message too long"):
			others += n
			_, unread, _ = strings.Cut(line, ";")
		default:
			breaches++
		}
	}
	if first == 0 || others == 0 || first+others != many || breaches != 1 {
		t.Errorf("of %d it said %d in full and %d in sum, and %d other lines (%s)", many, first, others, breaches, unread)
	}
}

// So it is with those that end inside a record.
func TestManyThatEndInsideARecordAreSummedUp(t *testing.T) {
	t.Parallel()
	const many = 200
	s := open(t, hubbub.Options{Framing: 4})
	peers := s.clients(many)
	for _, c := range peers {
		c.Says("abc")
		c.Done()
	}
	for _, c := range peers {
		c.HearsEnd()
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	first, others := 0, 0
	for _, line := range s.log.All() {
		var n int
		if _, err := fmt.Sscanf(line, "and %d other", &n); err != nil {
			first++
		}
		others += n
	}
	if others == 0 || first+others != many {
		t.Errorf("of %d it said %d in full and %d in sum", many, first, others)
	}
}

// All clients' half lines together are bounded by the backlog.
func TestHalfLinesAreBounded(t *testing.T) {
	t.Parallel()
	s := open(t, hubbub.Options{Backlog: 1 << 20, MaxMessage: 200_000})
	half := strings.Repeat("x", 190_000)
	for range 5 {
		s.client().Says(half)
	}
	scene.Until(t, "five are kept", func() bool { return s.Stats().BytesIn == 5*190_000 })
	innocent := s.client()
	innocent.Says(half[:100_000])
	s.logs("closed: beginnings of messages fill the backlog, and its own is the longest (186 KiB)")
	s.has(5)
	innocent.Says("\n")
	s.hears("6 " + half[:100_000])
}

// Whoever adds the byte that is too much, the one that holds the most goes, also
// when another loop has it.
func TestTheLongestBeginningOfAllLoopsGoes(t *testing.T) {
	t.Parallel()
	const big, ordinary, most = 240_000, 100_000, 1 << 20
	s := open(t, hubbub.Options{Loops: 2, Backlog: most, MaxMessage: big})
	half := strings.Repeat("x", big)
	stalled := s.client()
	others := s.clients(19) // every second is with the other loop
	stalled.Says(half)
	scene.Until(t, "it is held", func() bool { return s.Stats().BytesIn == big })
	for i := 0; i < len(others); i += 2 {
		others[i].Says(half[:ordinary])
	}
	if reason := s.leaves(1); !strings.HasSuffix(reason, "its own is the longest (234 KiB)") {
		t.Errorf("it left because %q", reason)
	}
	for i := 0; i < len(others); i += 2 {
		others[i].Says("\n")
	}
	s.events.When(t, "all others", func(all []hubbub.Event) bool { return len(texts(all)) == 10 })
	s.has(19)
}
