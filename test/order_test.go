//go:build unix

package hubbub_test

// Everybody gets the same: every message, whole, in one order.

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"hubbub.example"
	"hubbub.example/internal/scene"
)

// Many broadcast at once, through many loops: all clients see one order, in
// which each broadcaster's messages are in his.
func TestEveryoneSeesTheSameOrder(t *testing.T) {
	t.Parallel()
	const broadcasters, each, clients = 8, 250, 4
	s := open(t, hubbub.Options{Loops: 4, Inbox: hubbub.InboxNone})
	path, err := s.Listen(unixAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	peers := s.clients(clients)
	for range clients {
		peers = append(peers, dial(t, path[0].String()))
	}
	s.has(len(peers))
	broadcasting := begins(func() error {
		return together(broadcasters, func(who int) error { return broadcastEach(s.Hub, who, each) })
	})
	orders := make([][]string, len(peers))
	if err := together(len(peers), func(i int) error {
		for range broadcasters * each {
			line, err := peers[i].R.ReadString('\n')
			if err != nil {
				return err
			}
			orders[i] = append(orders[i], line)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := broadcasting(); err != nil {
		t.Fatal(err)
	}
	for i, order := range orders {
		if !slices.Equal(order, orders[0]) {
			t.Errorf("client %d saw another order than the first", i)
		}
	}
	for who := range broadcasters {
		n := 0
		for _, line := range orders[0] {
			if line == fmt.Sprintf("%d says %d\n", who, n) {
				n++
			}
		}
		if n != each {
			t.Errorf("of broadcaster %d's messages %d came in his order, not %d", who, n, each)
		}
	}
}

func broadcastEach(h *hubbub.Hub, who, n int) error {
	ctx, cancel := context.WithTimeout(context.Background(), scene.LongEnough)
	defer cancel()
	for i := range n {
		if err := h.Broadcast(ctx, fmt.Appendf(nil, "%d says %d", who, i)); err != nil {
			return err
		}
	}
	return nil
}

// The kernel takes all, some or nothing of what it is given. Nothing is lost
// of it nor sent twice: by send(2) or sendfile(2), inside a segment of the
// feed or across its end, also while the feed moves on.
func TestPartialWritesAreContinued(t *testing.T) {
	t.Parallel()
	for _, most := range []int{40, 3000, 60_000} { // sent from the mapping; from both; from the file
		t.Run(fmt.Sprintf("messages of up to %d bytes", most), func(t *testing.T) {
			everyNetwork(t, func(t *testing.T, address string) {
				s := openAt(t, address, hubbub.Options{
					Backlog: 256 << 10, SocketOptions: []string{"SO_SNDBUF=8192"}, Inbox: hubbub.InboxNone,
				})
				const readers, total = 3, 600 << 10
				peers := s.clients(readers)
				sums := make([][]byte, readers)
				reading := begins(func() error {
					return together(readers, func(i int) error {
						var err error
						sums[i], err = sumOf(peers[i], uint64(i))
						return err
					})
				})
				want := broadcastSizes(t, s, most, total)
				if err := s.Drain(patient(t), scene.LongEnough); err != nil {
					t.Error(err)
				}
				if err := reading(); err != nil {
					t.Fatal(err)
				}
				for i, got := range sums {
					if !bytes.Equal(got, want) {
						t.Errorf("what client %d got is not what was broadcast", i)
					}
				}
			})
		})
	}
}

// broadcastSizes broadcasts messages of 0 to most bytes, total in all, and
// returns the sum of what everybody is to get.
func broadcastSizes(t *testing.T, s *stage, most, total int) []byte {
	t.Helper()
	random := rand.New(rand.NewPCG(1, uint64(most)))
	sum := sha256.New()
	message := make([]byte, most)
	ctx := patient(t)
	for sent := 0; sent < total; {
		m := message[:random.IntN(most+1)]
		for i := range m {
			m[i] = "0123456789abcdef"[random.IntN(16)]
		}
		if err := s.Broadcast(ctx, m); err != nil {
			t.Fatal(err)
		}
		sum.Write(m)
		sum.Write([]byte{'\n'})
		sent += len(m) + 1
	}
	return sum.Sum(nil)
}

// sumOf reads from r to its end, a little at a time.
func sumOf(r io.Reader, seed uint64) ([]byte, error) {
	random := rand.New(rand.NewPCG(2, seed))
	sum := sha256.New()
	p := make([]byte, 32<<10)
	for {
		n, err := r.Read(p[:1+random.IntN(len(p))])
		sum.Write(p[:n])
		if errors.Is(err, io.EOF) {
			return sum.Sum(nil), nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// What stands between two separators is one message, nothing included; a
// message with the separator in it becomes several.
func TestEveryByteArrives(t *testing.T) {
	t.Parallel()
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for _, c := range []struct {
		framing hubbub.Framing
		said    []string
		heard   string
	}{
		{hubbub.FramingLines, []string{"a", "", "b\x00c", "two\nlines", "not\r", string(every)}, "a\n\nb\x00c\ntwo\nlines\nnot\r\n" + string(every) + "\n"},
		{hubbub.FramingNUL, []string{"a\nb", "", "c"}, "a\nb\x00\x00c\x00"},
		{hubbub.FramingRaw, []string{"a", "", "b\n\x00", string(every)}, "ab\n\x00" + string(every)},
		{hubbub.Framing(4), []string{"1234", "\n\x00\r\xff"}, "1234\n\x00\r\xff"},
	} {
		t.Run(c.framing.String(), func(t *testing.T) {
			everyNetwork(t, func(t *testing.T, address string) {
				s := openAt(t, address, hubbub.Options{Framing: c.framing})
				p := s.client()
				s.says(c.said...)
				p.Hears(c.heard)
			})
		})
	}
}

// A client that comes while others broadcast begins at a message's beginning
// and misses none from there on.
func TestWhoComesInTheMiddleMissesNothingAfterwards(t *testing.T) {
	t.Parallel()
	const clients, lines, size = 20, 1000, 100
	s := open(t, hubbub.Options{Loops: 4, Backlog: 256 << 10, Inbox: hubbub.InboxNone})
	ctx, stop := context.WithCancel(patient(t))
	broadcasting := begins(func() error {
		for i := 0; ; i++ {
			if err := s.Broadcast(ctx, numbered(i, size)); err != nil {
				return err
			}
		}
	})
	if err := together(clients, func(int) error {
		c, err := scene.Connect(s.at, nil)
		if err != nil {
			return err
		}
		defer c.Close()
		last, seen := 0, 0
		r := bufio.NewReader(c)
		for seen < lines {
			line, err := r.ReadString('\n')
			if err != nil {
				return err
			}
			var i int
			fmt.Sscanf(line, "%d", &i)
			if strings.TrimSuffix(line, "\n") != string(numbered(i, size)) || seen > 0 && i != last+1 {
				return fmt.Errorf("after message %d: %s", last, scene.Brief(line))
			}
			last = i
			seen++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := broadcasting(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
