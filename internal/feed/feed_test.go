//go:build unix

package feed

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"weak"
)

const (
	small = 64 << 10 // a limit that gives the smallest segments

	// far is past 1 TiB, and a multiple of any segment.
	far = 3<<40 + 5<<30
)

// Whatever is appended and dropped, the feed answers as a plain slice would,
// at its beginning and past 1 TiB.
func TestFeedAnswersAsItsModel(t *testing.T) {
	for _, origin := range []int64{0, far} {
		for seed := range uint64(6) {
			r := rand.New(rand.NewPCG(seed, uint64(origin)))
			p := newPair(t, small+r.Int64N(4*small), origin)
			p.agree()
			for range 50 {
				if r.IntN(4) == 0 {
					p.drop(p.m.base + r.Int64N(p.m.head()-p.m.base+1))
				} else {
					p.append(p.random(r))
				}
				p.agree()
			}
		}
	}
}

// So does one that begins behind a message of another, and grows downwards too,
// as long as nothing of it is gone.
func TestFeedGrowsDownwardsAsItsModel(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 1))
		p := newPairBehind(t, small+r.Int64N(4*small), Far*int64(1+seed), r.IntN(200))
		p.agree()
		for range 60 {
			switch n := r.IntN(20); {
			case n == 0:
				p.drop(p.m.base + r.Int64N(p.m.head()-p.m.base+1))
			case n < 12:
				_, ends := p.random(r)
				sizes := slices.Clone(ends)
				for i := range sizes[1:] {
					sizes[i+1] -= ends[i]
				}
				p.prepend(sizes...)
			default:
				p.append(p.random(r))
			}
			p.agree()
		}
	}
}

// What is put before the oldest may fill segments to the byte, or be longer
// than some, and the messages are found again.
func TestPrependAtTheBoundaries(t *testing.T) {
	for _, appended := range []int{0, 1, 5000} {
		p := newPairBehind(t, small, 3*Far, 100)
		if appended > 0 {
			p.message(appended)
		}
		step := int(p.m.step)
		for _, sizes := range [][]int{{1}, {step - 1}, {step, step}, {1, 2*step - 1}, {3 * step}, {step + 1, 1}} {
			p.prepend(sizes...)
			p.agree()
		}
		p.message(1)
		p.agree()
		p.drop(p.m.base + 2*p.m.step)
		p.agree()
		p.prepend(1) // too late
		p.agree()
	}
}

// Messages before the first there ever was are none.
func TestNothingStandsBeforeTheFirst(t *testing.T) {
	p := newPairBehind(t, small, Far, 2)
	p.prepend(1, 2, 3)
	p.agree()
	p.prepend(1, 2)
	p.agree()
	p.prepend(1)
	p.agree()
}

// The oldest whole message is the one behind what is left of a torn one, however
// many segments that reaches across.
func TestOldestIsBehindATornMessage(t *testing.T) {
	p := newPair(t, small, 0)
	step := int(p.m.step)
	p.message(4 * step)
	p.message(10)
	p.message(step)
	p.drop(p.m.step)
	p.agree()
	if got := p.f.Oldest(); got != 2 {
		t.Errorf("the oldest whole message is %d, want 2", got)
	}
	p.drop(5 * p.m.step)
	p.agree()
}

// random returns what one Append may be given: a few messages, each at most a
// quarter of the limit long, the likeliest to go wrong first.
func (p *pair) random(r *rand.Rand) (data []byte, ends []int) {
	for range 1 + r.IntN(5) {
		left := p.toBoundary() - len(data)
		n := 1 + r.IntN(100)
		switch r.IntN(6) {
		case 0:
			n = 1
		case 1:
			n = max(1, left)
		case 2:
			n = max(1, left) + int(p.m.step)
		case 3:
			n = int(p.m.step)
		case 4:
			n = 1 + r.IntN(int(p.limit/4))
		}
		if len(data)+n <= int(p.limit/4) {
			data = append(data, make([]byte, n)...)
			ends = append(ends, len(data))
		}
	}
	if len(ends) == 0 {
		data, ends = []byte{0}, []int{1}
	}
	return pattern(p.m.head(), len(data)), ends
}

// One message ends where a segment ends, the next begins with the next
// segment, whichever is dropped.
func TestMessageMayEndWithItsSegment(t *testing.T) {
	p := newPair(t, small, 0)
	for range 5 {
		p.message(p.toBoundary())
		p.agree()
	}
	p.drop(2 * p.m.step)
	p.agree()
	if got := p.f.Whole(); got != 2*p.m.step {
		t.Errorf("the oldest whole message begins at %d, want %d: none was torn", got, 2*p.m.step)
	}
}

// A message longer than a segment is whole or gone, never half kept.
func TestMessageMaySpanSegments(t *testing.T) {
	for _, lead := range []int{0, 1, 100} {
		p := newPair(t, small, 0)
		step := int(p.m.step)
		if lead > 0 {
			p.message(lead)
		}
		p.message(3*step + 7)
		p.message(5)
		p.agree()
		p.drop(p.m.step)
		p.agree()
		if got, want := p.f.Whole(), int64(lead+3*step+7); got != want {
			t.Errorf("behind %d bytes: the oldest whole message begins at %d, want %d", lead, got, want)
		}
	}
}

// Several messages come at once, a long one behind short ones: each segment
// still knows how many ended before it.
func TestLongMessageBehindShortOnesInOneAppend(t *testing.T) {
	p := newPair(t, small, 0)
	n := 10 + 2*int(p.m.step)
	p.append(pattern(0, n+4), []int{3, 7, n, n + 4})
	p.agree()
}

// The longest message there may be, a quarter of the limit, fits however full
// the feed is, and what it displaces is no more than need be.
func TestLongestMessageFits(t *testing.T) {
	p := newPair(t, small, 0)
	longest := small / 4
	for range 20 {
		p.message(longest)
		p.agree()
		p.message(1)
		p.agree()
		if kept := p.m.head() - p.m.base; p.m.base > 0 && kept < small/2 {
			t.Fatalf("only %d bytes of %d are kept", kept, small)
		}
	}
}

// The index counts too: a feed of one-byte messages spends four bytes on the
// place of each, and keeps so many fewer.
func TestIndexIsBoundedByTheLimit(t *testing.T) {
	p := newPair(t, small, 0)
	p.noOrigins = true
	ends := make([]int, p.m.step)
	for i := range ends {
		ends[i] = i + 1
	}
	for range 100 {
		n := 1 + rand.IntN(len(ends))
		p.append(pattern(p.m.head(), n), ends[:n])
		if got := p.f.weigh(); got > small {
			t.Fatalf("%d bytes in %d segments and their index, the limit is %d", got, len(p.f.segments), small)
		}
	}
	p.agree()
}

// A clock that is far from right costs no more than another, and what it says is
// nearly kept.
func TestAClockThatIsFarFromRight(t *testing.T) {
	for _, c := range []struct{ at, kept int64 }{{-5, 1}, {latest, latest}, {latest + 1, latest}} {
		f, err := New(small, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		const messages = 100
		for range messages {
			if err := f.Append([]byte("\n"), []int{1}, c.at); err != nil {
				t.Fatal(err)
			}
		}
		if got := f.kept - f.Segment(); got != messages*markSize+stampSize {
			t.Errorf("at %d the index has %d bytes", c.at, got)
		}
		f.Each(1, messages, func(m Kept) {
			if m.At != c.kept {
				t.Errorf("message %d came at %d, and is kept as at %d", m.Seq, c.at, m.At)
			}
		})
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Nor is it more where clients take turns in saying nothing, though the segment at
// the head always stays: for raw clients, and in the forms of WebSockets too.
func TestIndexOfAFloodIsBoundedByTheLimit(t *testing.T) {
	const limit = small
	for _, forms := range [][]int{{1}, {1, 2}, {1, 2, 80}} {
		for _, clients := range []int{2, 20} {
			all := make([]Growth, len(forms))
			for i := range forms {
				all[i].Feed = newFeedBehind(t, limit, int64(i)*Far, 0)
			}
			var taken []Run
			for id := range clients {
				taken = append(taken, Run{1, &Origin{ID: uint64(id + 1), Not: []uint64{uint64(id + 1)}}})
			}
			for at := int64(1); all[0].Feed.Head() < limit; at++ {
				n := 1 + rand.IntN(40) // Relay gives no more at a time to so small a feed
				of := make([]Run, n)
				for i := range of {
					of[i] = taken[(int(all[0].Feed.Count())+i)%clients]
				}
				if kept := flood(t, limit, all, forms, at, of); kept > limit {
					t.Fatalf("%d clients, forms of %v bytes: %d bytes are kept, the limit is %d", clients, forms, kept, limit)
				}
			}
		}
	}
}

// flood appends a message of each of these in each form, of so many bytes, as a
// publisher does, and says what they keep then.
func flood(t *testing.T, limit int64, all []Growth, sizes []int, at int64, of []Run) (kept int64) {
	t.Helper()
	for i, size := range sizes {
		all[i].Bytes, all[i].Messages, all[i].Runs = int64(size*len(of)), len(of), of
	}
	for to := Excess(limit, all); to != nil; to = Excess(limit, all) {
		for i, g := range all {
			if err := g.Feed.Drop(to[i]); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, size := range sizes {
		f, ends := all[i].Feed, make([]int, len(of))
		for k := range ends {
			ends[k] = size * (k + 1)
		}
		most := all[i].keeps()
		if err := f.Append(make([]byte, size*len(of)), ends, at*int64(1-min(i, 1)), of...); err != nil {
			t.Fatal(err)
		}
		if f.kept != f.weigh() || f.kept > most {
			t.Fatalf("%d bytes are kept, they weigh %d, and at most %d were foreseen", f.kept, f.weigh(), most)
		}
		kept += f.kept
	}
	return kept
}

// As many may speak as like, also more than one table of origins has.
func TestMoreOriginsThanATableHas(t *testing.T) {
	const each = mostOrigins / 4
	p := newPair(t, 32*mostOrigins, 0)
	for i := range 6 * each {
		of := &Origin{ID: 7, Not: []uint64{uint64(i%3 + 1)}}
		if i%each == each-1 {
			of = nil
		}
		if err := p.f.Append([]byte{1}, []int{1}, 0, Run{1, of}); err != nil {
			t.Fatal(err)
		}
		p.m.append([]byte{1}, []int{1}, 0, []Run{{1, of}})
	}
	if n := len(p.f.segments[0].from); n < 2 {
		t.Fatalf("there are %d tables: make the scene bigger", n)
	}
	p.same("kept", 0, p.f.kept, p.f.weigh())
	p.agreeOnEach()
	p.agreeOnBarred()
}

// weigh returns what the segments and their index take.
func (f *Feed) weigh() (n int64) {
	for _, s := range f.segments {
		n += s.cost()
	}
	return n
}

// What was dropped is gone from the heap as well: nothing holds on to the
// index of a segment that is no more.
func TestDroppedIndexIsGone(t *testing.T) {
	p := newPair(t, small, 0)
	for p.m.base < 40*p.m.step {
		p.message(p.toBoundary())
		oldest := weak.Make(p.f.segments[0])
		p.drop(p.m.base + p.m.step)
		if p.f.segments[0] == oldest.Value() {
			continue // it was the only one
		}
		if runtime.GC(); oldest.Value() != nil {
			t.Fatalf("the segment that ended at %d is still there", p.m.base)
		}
	}
}

// A feed that keeps everything up to its limit asks for nothing before that.
func TestNothingIsDroppedBelowTheLimit(t *testing.T) {
	f := newFeed(t, small)
	for f.Head()+f.Segment() < small*3/4 {
		if to := excess(f, small, 1000, 1); to != 0 {
			t.Fatalf("with %d of %d bytes, everything below %d must go", f.Head(), small, to)
		}
		if err := f.Append(make([]byte, 1000), []int{1000}, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// The segment at the head stays whatever is asked for: somebody is about to
// be sent it.
func TestHeadIsNeverDropped(t *testing.T) {
	p := newPair(t, small, 0)
	for range 3 {
		p.message(p.toBoundary())
		p.drop(p.m.head())
		p.agree()
		p.message(10)
		p.drop(p.m.head())
		p.agree()
	}
}

// Nobody could ever leave it either: what must go is below the head, however
// much is asked for.
func TestExcessIsBelowTheHead(t *testing.T) {
	p := newPair(t, small, 0)
	for range 3 {
		p.message(p.toBoundary())
		for _, n := range []int64{1, small, 10 * small} {
			if to := excess(p.f, p.limit, n, 1); to >= p.m.head() {
				t.Errorf("for %d bytes everything below %d must go, the head is at %d", n, to, p.m.head())
			}
		}
		p.message(10)
	}
}

// Readers need no lock: each reads all there is, from where it stands, while
// the feed grows, and the oldest goes when the last has read it.
func TestReadersBesideTheAppender(t *testing.T) {
	const total = 1 << 20
	f := newFeed(t, small)
	readers := make([]reader, 3)
	var running sync.WaitGroup
	for i := range readers {
		running.Go(func() { readers[i].readUpTo(t, f, total) })
	}
	for i := 0; f.Head() < total; i++ {
		n := int(min(total-f.Head(), int64(1+i*37%3000)))
		if to := excess(f, small, int64(n), 1); to > 0 {
			for i := range readers {
				readers[i].await(to)
			}
			if err := f.Drop(to); err != nil {
				t.Error(err)
			}
		}
		if err := f.Append(pattern(f.Head(), n), []int{n}, 0); err != nil {
			t.Error(err)
		}
	}
	running.Wait()
}

// reader is a goroutine that stands in the feed.
type reader struct{ cursor atomic.Int64 }

// readUpTo reads and checks everything up to total. It looks again and again,
// since anything that woke it would hide a race.
func (r *reader) readUpTo(t *testing.T, f *Feed, total int64) {
	defer r.cursor.Store(total) // whatever happens, nobody waits for it
	for at := int64(0); at < total; r.cursor.Store(at) {
		head := f.Head()
		if at == head {
			runtime.Gosched()
			continue
		}
		span := f.Span(at, head)
		if !bytes.Equal(span, pattern(at, len(span))) {
			t.Errorf("what stands at %d is not what was appended", at)
			return
		}
		if end := f.EndOf(at); end < at || f.Seq(at) > f.Seq(end) {
			t.Errorf("the message at %d ends at %d", at, end)
			return
		}
		at += int64(len(span))
	}
}

func (r *reader) await(to int64) {
	for r.cursor.Load() < to {
		runtime.Gosched()
	}
}

// Appending costs no memory but the feed's own: what is allocated is a new
// segment and the index's growth, a few times in a thousand messages.
func TestAppendAllocatesNothing(t *testing.T) {
	f := newFeed(t, 64<<20)
	message, ends := make([]byte, 64), []int{64}
	appendOne := func() {
		if err := f.Append(message, ends, 0); err != nil {
			t.Fatal(err)
		}
	}
	for range 10_000 {
		appendOne()
	}
	if got := testing.AllocsPerRun(10_000, appendOne); got != 0 {
		t.Errorf("%v allocations a message", got)
	}
}

// Two bytes of input say one step: append a message so long, or that and
// more at once, put it before the oldest, or drop.
func FuzzFeed(f *testing.F) {
	f.Add(uint32(0), uint8(0), []byte{})
	f.Add(uint32(0), uint8(0), []byte{1, 0, 0xff, 0x0f, 0, 0x10, 0xff, 0xff})
	f.Add(uint32(100_000), uint8(0), []byte{0xff, 0x3f, 0xff, 0x3f, 0, 0x80, 1, 0x40, 0xff, 0x7f, 0xff, 0xff})
	f.Add(uint32(1), uint8(9), []byte{1, 0x90, 1, 0, 0xff, 0xbf, 1, 0x98, 2, 0x40, 0, 0xf0, 1, 0x90})
	f.Fuzz(func(t *testing.T, more uint32, last uint8, steps []byte) {
		p := newPairBehind(t, small+int64(more%(4*small)), 2*Far, int(last))
		steps = steps[:min(len(steps), 2*300)] // the model compares everything after each
		for ; len(steps) >= 2 && len(p.m.data) < 2<<20; steps = steps[2:] {
			p.act(binary.LittleEndian.Uint16(steps))
			p.agree()
		}
	})
}

// act does what the fuzzer's word says: two bits choose, the others are a number.
func (p *pair) act(word uint16) {
	n := int(word & 0x3fff)
	switch word >> 14 {
	case 0:
		p.message(n + 1)
	case 1:
		p.message(max(1, p.toBoundary()+n%5-2))
	case 2:
		switch rest := n & 0x7ff; n >> 11 {
		case 2:
			p.prepend(rest + 1)
		case 3:
			p.prepend(1, 8*rest+1)
		case 4: // down to a segment's beginning, or beside it
			p.prepend(1, max(1, int(p.m.origin%p.m.step)-2+rest%5))
		default:
			data := pattern(p.m.head(), n+3)
			p.append(data, []int{1, 2, len(data)})
		}
	case 3:
		p.drop(p.m.base + (p.m.head()-p.m.base)*int64(n)/0x3fff)
	}
}

// Several feeds have one limit together. What must go is the oldest, whichever
// feed it is in, and no more than need be; the segment at each head stays.
func TestExcessOfSeveralFeeds(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 3))
		limit := small + r.Int64N(2*small)
		all := make([]Growth, 1+r.IntN(4))
		for i := range all {
			f := newFeedBehind(t, limit, int64(i)*Far, 0)
			all[i].Feed = f
			weight := 1 + r.IntN(1000) // of the same message, in this form
			for range 1 + r.IntN(100) {
				if err := f.Append(pattern(f.Head(), weight), []int{weight}, int64(1-min(i, 1))); err != nil {
					t.Fatal(err)
				}
			}
			all[i].Bytes, all[i].Messages = r.Int64N(limit/4), 1+r.IntN(3)
		}
		for {
			to := Excess(limit, all)
			checkExcess(t, limit, all, to)
			if to == nil {
				break
			}
			for i, g := range all {
				if err := g.Feed.Drop(to[i]); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// checkExcess looks at what is to go of feeds whose figures were checked.
func checkExcess(t *testing.T, limit int64, all []Growth, to []int64) {
	t.Helper()
	kept, mayGo := int64(0), 0
	youngest, oldest := uint64(0), ^uint64(0) // of what goes, and of what may and does not
	cheapest := int64(0)                      // the last that goes
	for i, g := range all {
		kept += g.keeps()
		for j, s := range g.Feed.segments[:max(0, len(g.Feed.segments)-1)] {
			mayGo++
			last := s.prior + uint64(len(s.ends))
			if to == nil || (g.Feed.first+int64(j))<<g.Feed.shift >= to[i] {
				oldest = min(oldest, last)
				continue
			}
			kept -= s.cost()
			if last >= youngest {
				youngest, cheapest = last, s.cost()
			}
		}
	}
	switch {
	case to == nil && kept > limit && mayGo > 0:
		t.Fatalf("%d bytes would be kept of %d, and nothing is to go", kept, limit)
	case to != nil && kept > limit && oldest != ^uint64(0):
		t.Fatalf("%d bytes would be kept of %d, and more could go", kept, limit)
	case to != nil && kept+cheapest <= limit:
		t.Fatalf("%d bytes would be kept of %d: more is to go than need be", kept, limit)
	case youngest > oldest:
		t.Fatalf("message %d is to go, and %d stays", youngest, oldest)
	}
}

// Whatever is appended in however many forms, what they keep together is never
// more than was agreed, but for what a single one may need.
func TestSeveralFeedsStayWithinTheLimit(t *testing.T) {
	const limit = small
	r := rand.New(rand.NewPCG(1, 1))
	var feeds []*Feed
	for i := range int64(4) {
		feeds = append(feeds, newFeedBehind(t, limit, i*Far, 0))
	}
	for range 3000 {
		all := make([]Growth, len(feeds))
		for i, f := range feeds {
			all[i] = Growth{Feed: f, Bytes: int64(1 + i*r.IntN(400)), Messages: 1}
		}
		for to := Excess(limit, all); to != nil; to = Excess(limit, all) {
			for i, f := range feeds {
				if err := f.Drop(to[i]); err != nil {
					t.Fatal(err)
				}
			}
		}
		kept := int64(0)
		for i, f := range feeds {
			n := int(all[i].Bytes)
			if err := f.Append(pattern(f.Head(), n), []int{n}, r.Int64N(2)); err != nil {
				t.Fatal(err)
			}
			kept += f.weigh()
		}
		if kept > limit {
			t.Fatalf("%d bytes are kept, the limit is %d", kept, limit)
		}
	}
}
