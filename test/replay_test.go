//go:build unix

package hubbub_test

// What a new client is sent first, and what becomes of messages that nobody
// is there to hear.

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"

	"hubbub.example"
	"hubbub.example/internal/scene"
)

// What was broadcast with nobody there waits for the first client; the second
// gets what comes from then on.
func TestTheFirstClientHearsWhatNobodyHas(t *testing.T) {
	t.Parallel()
	everyNetwork(t, func(t *testing.T, address string) {
		s := openAt(t, address, hubbub.Options{})
		s.says("one", "two")
		first := s.client()
		first.Hears("one\ntwo\n")
		second := s.client()
		s.says("three")
		first.Hears("three\n")
		second.Hears("three\n")
		_, _ = first.Close(), second.Close()
		scene.Until(t, "the hub has noticed that both are gone", func() bool {
			s.says("anyone?")
			return s.Stats().Clients == 0
		})
		s.says("four")
		// It may hear "anyone?" first: some were for nobody.
		third := s.client()
		for line := ""; line != "four\n"; {
			var err error
			if line, err = third.R.ReadString('\n'); err != nil || line != "anyone?\n" && line != "four\n" {
				t.Fatalf("the third client heard %q (%v)", line, err)
			}
		}
	})
}

// What is for those who are there is kept for nobody else when they do not hear
// it, and is not missed at the end; unless something before it is.
func TestBroadcastHereIsForThoseWhoAreThere(t *testing.T) {
	t.Parallel()
	everyNetwork(t, func(t *testing.T, address string) {
		s := openAt(t, address, hubbub.Options{})
		here := func(message string, except ...uint64) {
			t.Helper()
			if err := s.BroadcastHere(patient(t), []byte(message), except...); err != nil {
				t.Fatal(err)
			}
		}
		here("to nobody")
		p := s.client()
		here("to all but one", 1)
		here("to all")
		p.Hears("to all\n")
		here("to all but one", 1)
		if err := s.Settle(patient(t), scene.LongEnough); err != nil {
			t.Error(err)
		}
		p.Says("that is all\n")
		p.Done()
		p.HearsEnd()
		s.has(0)
		s.says("to whoever comes")
		here("with him")
		s.client().Hears("to whoever comes\nwith him\n")
	})
}

// A stream begins where it is when it is answered: who has the answer misses
// nothing that comes then, and what asks for the last messages counts from there.
func TestAStreamBeginsWithItsAnswer(t *testing.T) {
	t.Parallel()
	s := openAny(t, hubbub.Options{Loops: 2, Replay: hubbub.ReplayNone})
	s.says("before")
	for i := range 200 {
		p := dial(t, s.at)
		target, want := "/?last=0", ""
		if i%2 == 1 {
			target, want = "/?last=1", "before\n"
		}
		s.streamLater(p, target)
		s.says("before")
		p.Hears(want + "before\n")
		_ = p.Close()
	}
}

// A connection that took nothing has heard nothing: a port scanner, a health
// check, a client that is reset before it reads.
func TestAPortProbeHasHeardNothing(t *testing.T) {
	t.Parallel()
	for _, probe := range []struct {
		how string
		do  func(t *testing.T, s *stage)
	}{
		{"connects and closes", func(t *testing.T, s *stage) { _ = dial(t, s.at).Close() }},
		{"connects and resets", func(t *testing.T, s *stage) { dial(t, s.at).Reset() }},
		{"closes with everything unread", func(t *testing.T, s *stage) {
			p := dial(t, s.at)
			scene.Until(t, "the messages are there", func() bool { return p.Arrived() == len("one\ntwo\n") })
			_ = p.Close()
		}},
	} {
		t.Run(probe.how, func(t *testing.T) {
			s := open(t, hubbub.Options{})
			s.says("one", "two")
			for range 20 {
				joins := s.Stats().Joins
				probe.do(t, s)
				scene.Until(t, "the probe came and went", func() bool {
					now := s.Stats()
					return now.Joins == joins+1 && now.Clients == 0
				})
			}
			s.client().Hears("one\ntwo\n")
		})
	}
}

// Who took something and left has heard it, however it left.
func TestWhoLeavesHasHeard(t *testing.T) {
	t.Parallel()
	everyNetwork(t, func(t *testing.T, address string) {
		s := openAt(t, address, hubbub.Options{})
		s.says("one")
		p := s.client()
		p.Hears("one\n")
		s.says("two")
		p.Hears("two\n")
		p.Says("thanks\n")
		p.Done()
		p.HearsEnd()
		s.has(0)
		s.says("three")
		s.client().Hears("three\n")
	})
}

// A message of which the only client had but a piece is heard by nobody: the
// next client gets it whole.
func TestAMessageHalfSentIsNotHeard(t *testing.T) {
	t.Parallel()
	const size = 900_000
	s := open(t, hubbub.Options{SocketOptions: []string{"SO_SNDBUF=16384"}})
	s.says("short")
	p := s.narrowClient()
	p.Hears("short\n")
	p.Says("I listen\n")
	s.hears("1 I listen")
	s.says(string(numbered(1, size)))
	p.Hears(string(numbered(1, size)[:3000]))
	p.Reset()
	s.has(0)
	s.client().Hears(string(numbered(1, size)) + "\n")
}

// The other choices: nothing, the last N, all that is kept.
func TestReplay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		replay string
		want   string
	}{
		{"none", "now\n"},
		{"1", "four\nnow\n"},
		{"3", "\nthree\nfour\nnow\n"},
		{"100", "one\n\nthree\nfour\nnow\n"},
		{"all", "one\n\nthree\nfour\nnow\n"},
	} {
		t.Run(c.replay, func(t *testing.T) {
			replay, err := hubbub.ParseReplay(c.replay)
			if err != nil {
				t.Fatal(err)
			}
			everyNetwork(t, func(t *testing.T, address string) {
				s := openAt(t, address, hubbub.Options{Replay: replay})
				s.says("one", "", "three", "four")
				first := s.client()
				s.says("now")
				first.Hears(c.want)
				if replay != hubbub.ReplayNone {
					// That somebody has heard it changes nothing.
					s.client().Hears(strings.TrimPrefix(c.want, firstOf(c.replay, c.want)))
				}
			})
		})
	}
}

// firstOf returns the message that is no longer among the last N when one more
// has come.
func firstOf(replay, messages string) string {
	n, err := strconv.Atoi(replay)
	if err != nil || strings.Count(messages, "\n") <= n {
		return ""
	}
	return messages[:strings.Index(messages, "\n")+1]
}

// With nobody connected nobody is waited for, whatever is broadcast: the
// oldest messages go, are counted and said, and the next client gets the
// others, each whole, from the oldest that is kept. With the lost ones they
// are all there ever were.
func TestNobodyConnectedPastTheBacklog(t *testing.T) {
	t.Parallel()
	for _, slow := range []hubbub.Slow{hubbub.SlowWait, hubbub.SlowCut, hubbub.SlowSkip} {
		for _, size := range []int{20, 1000, 10_000} {
			t.Run(slow.String()+" "+strconv.Itoa(size), func(t *testing.T) {
				n := 1_000_000 / size
				s := open(t, hubbub.Options{Slow: slow, Backlog: 256 << 10, Loops: 2})
				ctx := patient(t)
				for i := range n {
					if err := s.Broadcast(ctx, numbered(i, size)); err != nil {
						t.Fatal(err)
					}
				}
				s.logs("nobody heard the oldest messages and the backlog is full: ")
				p := s.client()
				first := -1
				err := follow(p.R, size, n, func(i int) {
					if first < 0 {
						first = i
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				lost := int(s.Stats().Lost)
				if first != lost {
					t.Errorf("the first message heard was %d; %d are said to be lost", first, lost)
				}
				if kept := (n - first) * (size + 1); kept < 100<<10 {
					t.Errorf("only %d bytes were kept", kept)
				}
				var left *hubbub.UndeliveredError
				if err := s.Settle(ctx, scene.LongEnough); !errors.As(err, &left) || left.Unheard != int64(lost) {
					t.Errorf("Settle says %v, want %d messages unheard", err, lost)
				}
			})
		}
	}
}

// With Raw there are no messages to begin at, but nothing comes twice, and
// nothing is missing in between.
func TestRawReplaysToo(t *testing.T) {
	t.Parallel()
	s := open(t, hubbub.Options{Framing: hubbub.FramingRaw, Backlog: 64 << 10})
	var all []byte
	for i := range 3000 {
		chunk := numbered(i, 100)
		all = append(all, chunk...)
		s.says(string(chunk))
	}
	p := s.client()
	go func() { _ = s.Drain(patient(t), scene.LongEnough) }()
	got, err := io.ReadAll(bufio.NewReader(p))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) < 30<<10 || !bytes.HasSuffix(all, got) || len(got)%100 != 0 {
		t.Errorf("%s of %d bytes is not their end", scene.Brief(string(got)), len(all))
	}
}
