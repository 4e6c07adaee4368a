//go:build unix

package intake

import (
	"slices"
	"strings"
	"testing"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/quota"
	"hubbub.example/internal/framing"
	"hubbub.example/internal/proto"
)

// post has a body come in these reads, and returns why it ended, or how many
// bytes were dropped at its end.
func (d *desk) post(reads ...string) Outcome {
	p := &Post{Sender: *sender(1, codec.ProtocolPost)}
	defer p.Forget()
	body := strings.Join(reads, "")
	for i := 0; ; {
		last := i == len(reads)
		data := ""
		if !last {
			data, reads[i] = reads[i][:min(len(reads[i]), ReadSize)], reads[i][min(len(reads[i]), ReadSize):]
			if reads[i] == "" {
				i++
			}
		}
		piece := NewPiece(p, []byte(data), last)
		d.Post(piece)
		d.EnterPosts()
		<-piece.Entered
		if last && p.Received() != int64(len(body)) {
			d.t.Errorf("%.20q: %d of %d bytes were received", body, p.Received(), len(body))
		}
		if piece.Begun != (p.Holds() > 0) {
			d.t.Errorf("%.20q: begun %t with %d bytes", body, piece.Begun, p.Holds())
		}
		if last || piece.Out.End.Kind != 0 {
			return piece.Out
		}
	}
}

// What a body says, however it comes.
func TestBody(t *testing.T) {
	long := strings.Repeat("x", 3*ReadSize/2)
	for _, c := range []struct {
		framing framing.Framing
		longest int
		reads   []string
		want    string
		dropped int
		end     proto.Reason
	}{
		{framing.Lines, 8, nil, "", 0, 0},
		{framing.Lines, 8, []string{"one\ntwo"}, "one\ntwo\n", 0, 0},
		{framing.Lines, 8, []string{"o", "ne\r", "\n\ntwo\n"}, "one\n\ntwo\n", 0, 0},
		{framing.Lines, 8, []string{"12345678\r\n"}, "12345678\n", 0, 0},
		{framing.Lines, 8, []string{"one\n123456789\ntwo\n"}, "one\n", 0, proto.ReasonTooLong},
		{framing.Lines, 8, []string{"one\n1234567890"}, "one\n", 0, proto.ReasonTooLong},
		{framing.Lines, 8, []string{"one\n123456789"}, "one\n", 0, proto.ReasonTooLong},
		{framing.Lines, 1 << 20, []string{long, long, "\n"}, long + long + "\n", 0, 0},
		{framing.NUL, 8, []string{"a\x00b"}, "a\x00b\x00", 0, 0},
		{framing.Raw, 8, []string{"as it comes"}, "as it comes", 0, 0},
		{framing.Framing(4), 4, []string{"123", "456"}, "1234", 2, 0},
	} {
		d := newDesk(t, func(g *Config) { g.Framing, g.Longest = c.framing, c.longest })
		out := d.post(slices.Clone(c.reads)...)
		if _, got := d.received(); got != c.want || out.Dropped != c.dropped || out.End.Kind != c.end {
			t.Errorf("%.20q gives %.20q, drops %d and ends with %+v", c.reads, got, out.Dropped, out.End)
		}
		if d.Beginnings.Used() != 0 || d.Posts.Used() != 0 {
			t.Errorf("%.20q: at the end %d bytes are held, %d of posts", c.reads, d.Beginnings.Used(), d.Posts.Used())
		}
	}
}

// Beginnings are bounded, and posts have half: who can be cut has the rest.
func TestBodiesHoldALimitedShare(t *testing.T) {
	for _, c := range []struct {
		beginnings, posts int64
		says              int
		full              bool
	}{
		{100, 50, 50, false},
		{100, 50, 51, true},
		{40, 50, 41, true},
	} {
		d := newDesk(t, func(g *Config) { g.Beginnings, g.Posts = quota.New(c.beginnings), quota.New(c.posts) })
		out := d.post(strings.Repeat("x", c.says))
		if (out.End.Kind == proto.ReasonOverQuota) != c.full {
			t.Errorf("%d bytes with %d and %d left: %+v", c.says, c.beginnings, c.posts, out.End)
		}
	}
}

// A post's messages wait for a batch, after joins and leaves that wait; none of
// one that has left is heard, and none that was withdrawn.
func TestPostsWaitForABatch(t *testing.T) {
	d := newDesk(t)
	all := d.takeAll()
	post := func(id uint64, says string) (*Post, *Piece) {
		p := &Post{Sender: *sender(id, codec.ProtocolPost)}
		entry := NewPiece(p, []byte(says), true)
		d.Post(entry)
		return p, entry
	}
	first, one := post(1, "one\n")
	kicked, two := post(2, "two\n")
	_, three := post(3, "three\n")
	d.Presence(Leave, &kicked.Sender, ending.Kicked(""))
	d.Withdraw(three)
	if n := d.EnterPosts(); n != 0 {
		t.Errorf("without a batch %d bytes are entered", n)
	}
	for _, b := range all {
		b.Release()
	}
	if n := d.EnterPosts(); n != 4 || first.Received() != 4 || kicked.Received() != 0 {
		t.Errorf("%d bytes are entered, of the first %d", n, first.Received())
	}
	for _, entry := range []*Piece{one, two, three} {
		select {
		case <-entry.Entered:
		default:
			t.Error("somebody waits on")
		}
	}
	if got, _ := d.received(); !slices.Equal(got, []string{"2 leave kicked", "1 message one"}) {
		t.Errorf("it gives %q", got)
	}
}
