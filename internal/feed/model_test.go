//go:build unix

package feed

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"slices"
	"sort"
	"testing"
)

// model is a feed as one would first write it: every byte there ever was, in
// one piece. Its offsets begin at origin, its numbers behind before.
type model struct {
	origin, base, step int64
	before             int
	data               []byte
	ends, came         []int64
	of                 []*Origin
}

func (m *model) head() int64 { return m.origin + int64(len(m.data)) }

func (m *model) count() int { return m.before + len(m.ends) }

func (m *model) append(p []byte, ends []int, at int64, runs []Run) {
	head := m.head()
	for _, end := range ends {
		m.ends = append(m.ends, head+int64(end))
		m.came = append(m.came, at)
	}
	for _, r := range runs {
		for range r.Messages {
			m.of = append(m.of, r.Of)
		}
	}
	m.of = append(m.of, make([]*Origin, len(m.ends)-len(m.of))...)
	m.data = append(m.data, p...)
}

// prepend adds what came before the first, if nothing is gone.
func (m *model) prepend(p []byte, ends []int) bool {
	if m.base > m.origin || len(ends) > m.before {
		return false
	}
	m.origin -= int64(len(p))
	m.base = m.origin
	var earlier []int64
	for _, end := range ends {
		earlier = append(earlier, m.origin+int64(end))
	}
	m.ends = append(earlier, m.ends...)
	m.came = append(make([]int64, len(ends)), m.came...)
	m.of = append(make([]*Origin, len(ends)), m.of...)
	m.data = append(slices.Clone(p), m.data...)
	m.before -= len(ends)
	return true
}

func (m *model) drop(to int64) {
	if len(m.data) == 0 {
		return
	}
	to -= to % m.step
	stays := (m.head() - 1) / m.step * m.step // the segment at the head
	m.base = max(m.base, min(to, stays))
}

// upTo returns the number of the last message that ends at or before offset.
func (m *model) upTo(offset int64) int {
	return m.before + sort.Search(len(m.ends), func(i int) bool { return m.ends[i] > offset })
}

// endOf returns where message seq ends, which is none before the first.
func (m *model) endOf(seq int) int64 {
	if seq <= m.before {
		return m.origin
	}
	return m.ends[seq-m.before-1]
}

// oldest returns the number of the first message that begins at whole or above.
func (m *model) oldest() int { return m.upTo(m.whole()) + 1 }

func (m *model) whole() int64 {
	seq := m.upTo(m.base)
	if m.endOf(seq) < m.base {
		seq++
	}
	return m.endOf(seq)
}

func (m *model) begin(seq int) int64 {
	if seq > m.count() {
		return m.head()
	}
	return max(m.whole(), m.endOf(seq-1))
}

func (m *model) wholeAt(offset int64) int64 {
	return max(m.whole(), m.endOf(m.upTo(offset)))
}

func (m *model) messageEnd(offset int64) int64 {
	seq := m.upTo(offset)
	if m.endOf(seq) < offset {
		seq++
	}
	return m.endOf(seq)
}

// pair is a feed and its model, which get the same and must agree.
type pair struct {
	t     testing.TB
	f     *Feed
	limit int64
	m     *model
	clock int64 // when the next messages come

	noOrigins bool
}

// newPair makes a feed whose first byte stands at origin, a multiple of its
// step.
func newPair(t testing.TB, limit, origin int64) *pair {
	t.Helper()
	return newPairBehind(t, limit, origin, 0)
}

// newPairBehind is newPair for a feed whose first message is number last+1.
func newPairBehind(t testing.TB, limit, origin int64, last int) *pair {
	t.Helper()
	f := newFeedBehind(t, limit, origin, uint64(last))
	return &pair{t: t, f: f, limit: limit, m: &model{origin: origin, base: origin, step: f.Segment(), before: last}, clock: 1000}
}

func newFeed(t testing.TB, limit int64) *Feed {
	t.Helper()
	return newFeedBehind(t, limit, 0, 0)
}

// newFeedBehind makes an empty feed that begins at offset, behind message last.
func newFeedBehind(t testing.TB, limit, offset int64, last uint64) *Feed {
	t.Helper()
	f, err := New(limit, offset, last)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// speakers are origins, each barred to the client whose id it has.
var speakers = []*Origin{nil, {ID: 1, Not: []uint64{1}}, {ID: 2, Name: "ann", Not: []uint64{2, 7}}}

// runs returns who says so many messages, from number seq on.
func runs(seq, messages int) (all []Run) {
	for messages > 0 {
		n := min(messages, 3+seq%5)
		messages -= n
		all = append(all, Run{n, speakers[seq/2%len(speakers)]})
		seq += n
	}
	return all
}

// excess is Excess of one feed alone.
func excess(f *Feed, limit, n int64, messages int) int64 {
	if to := Excess(limit, []Growth{{Feed: f, Bytes: n, Messages: messages}}); to != nil {
		return to[0]
	}
	return 0
}

// append does as a publisher does: it makes room first.
func (p *pair) append(data []byte, ends []int) {
	p.t.Helper()
	var who []Run
	if p.clock != 0 && !p.noOrigins {
		who = runs(p.m.count(), len(ends))
	}
	growth := Growth{p.f, int64(len(data)), len(ends), who}
	if to := Excess(p.limit, []Growth{growth}); to != nil {
		p.drop(to[0])
		if again := Excess(p.limit, []Growth{growth}); again != nil {
			p.t.Fatalf("Excess of %d bytes in %d messages is %d, and %d when that was dropped", len(data), len(ends), to, again)
		}
	}
	if err := p.f.Append(data, ends, p.clock, who...); err != nil {
		p.t.Fatal(err)
	}
	p.m.append(data, ends, p.clock, who)
	if len(ends)%2 == 1 { // several may come at the same time
		p.clock++
	}
}

// prepend adds messages of these sizes before the oldest, if that can be.
func (p *pair) prepend(sizes ...int) {
	p.t.Helper()
	n := 0
	var ends []int
	for _, size := range sizes {
		n += size
		ends = append(ends, n)
	}
	data := pattern(p.m.origin-int64(n), n)
	done, err := p.f.Prepend(data, ends)
	if err != nil {
		p.t.Fatal(err)
	}
	if want := p.m.prepend(data, ends); done != want {
		p.t.Fatalf("Prepend of %d messages says %v, want %v", len(ends), done, want)
	}
}

func (p *pair) drop(to int64) {
	p.t.Helper()
	if err := p.f.Drop(to); err != nil {
		p.t.Fatal(err)
	}
	p.m.drop(to)
}

// message appends one message of n bytes, which say where they stand.
func (p *pair) message(n int) {
	p.t.Helper()
	p.append(pattern(p.m.head(), n), []int{n})
}

// toBoundary returns how many bytes lack until the head stands at a segment's end.
func (p *pair) toBoundary() int {
	return int(p.m.step - p.m.head()%p.m.step)
}

// pattern returns what stands at offset. It repeats, but not in step with segments.
func pattern(offset int64, n int) []byte {
	p := make([]byte, n)
	for done := 0; done < n; {
		done += copy(p[done:], noise[(offset+int64(done))%int64(len(noise)):])
	}
	return p
}

var noise = func() []byte {
	p := make([]byte, 65_521) // a prime
	_, _ = rand.NewChaCha8([32]byte{}).Read(p)
	return p
}()

// agree asks the feed everything, at every place where an answer may change.
func (p *pair) agree() {
	p.t.Helper()
	f, m := p.f, p.m
	p.same("Head", 0, f.Head(), m.head())
	p.same("Count", 0, int64(f.Count()), int64(m.count()))
	p.same("Whole", 0, f.Whole(), m.whole())
	p.same("Oldest", 0, int64(f.Oldest()), int64(m.oldest()))
	p.same("kept", 0, f.kept, f.weigh())
	p.agreeOnOffsets()
	for _, seq := range p.numbers() {
		p.same("Begin", int64(seq), f.Begin(uint64(seq)), m.begin(seq))
		p.same("Last", int64(seq), f.Last(seq), m.begin(m.count()-seq+1))
	}
	p.agreeOnEach()
	p.agreeOnBarred()
	kept := m.data[m.base-m.origin:]
	if got := f.Read(m.base, m.head()); !bytes.Equal(got, kept) {
		p.t.Fatalf("what is kept from %d to %d is not what was appended", m.base, m.head())
	}
}

// agreeOnEach goes through the messages that are kept whole.
func (p *pair) agreeOnEach() {
	p.t.Helper()
	m := p.m
	next := m.oldest()
	p.f.Each(uint64(next), uint64(m.count()), func(got Kept) {
		p.same("Each", int64(got.Seq), int64(got.Seq), int64(next))
		p.same("time", int64(got.Seq), got.At, m.came[next-m.before-1])
		if want := m.of[next-m.before-1]; !reflect.DeepEqual(got.Of, want) {
			p.t.Fatalf("message %d is of %v, want %v", got.Seq, got.Of, want)
		}
		if begin, end := m.endOf(next-1)-m.origin, m.endOf(next)-m.origin; !bytes.Equal(got.Bytes, m.data[begin:end]) {
			p.t.Fatalf("message %d is not what was appended", got.Seq)
		}
		next++
	})
	p.same("the last of Each", 0, int64(next), int64(m.count()+1))
}

// agreeOnBarred asks for what these clients do not get.
func (p *pair) agreeOnBarred() {
	p.t.Helper()
	for _, id := range []uint64{1, 2, 3} {
		for _, seq := range p.numbers() {
			first, last := p.f.Excluded(uint64(seq), p.f.Count(), id)
			wantFirst, wantLast := p.m.barred(seq, id)
			p.same("the first barred", int64(seq), int64(first), wantFirst)
			p.same("the last barred", int64(seq), int64(last), wantLast)
		}
	}
}

func (m *model) barred(from int, id uint64) (first, last int64) {
	for seq := max(from, m.oldest()); seq <= m.count(); seq++ {
		switch barred := m.of[seq-m.before-1].excludes(id); {
		case barred && last == 0:
			first, last = int64(seq), int64(seq)
		case barred:
			last = int64(seq)
		case last > 0:
			return first, last
		}
	}
	return first, last
}

func (p *pair) agreeOnOffsets() {
	p.t.Helper()
	f, m := p.f, p.m
	for _, at := range p.offsets() {
		p.same("WholeAt", at, f.WholeAt(at), m.wholeAt(at))
		if at < m.base { // nobody stands there; somebody may remember it
			if at < m.base-m.base%m.step {
				p.same("Seq", at, int64(f.Seq(at)), int64(m.oldest()-1))
			}
			continue
		}
		p.same("Seq", at, int64(f.Seq(at)), int64(m.upTo(at)))
		p.same("EndOf", at, f.EndOf(at), m.messageEnd(at))
		for _, end := range []int64{at + 1, at + m.step, m.head()} {
			if at < end && end <= m.head() {
				p.agreeOnSpan(at, end)
			}
		}
	}
}

func (p *pair) agreeOnSpan(at, end int64) {
	p.t.Helper()
	m := p.m
	span := p.f.Span(at, end)
	boundary := at - at%m.step + m.step
	if want := min(end, boundary) - at; int64(len(span)) != want {
		p.t.Fatalf("Span(%d, %d) is %d bytes long, want %d", at, end, len(span), want)
	}
	if from := at - m.origin; !bytes.Equal(span, m.data[from:from+int64(len(span))]) {
		p.t.Fatalf("Span(%d, %d) is not what was appended there", at, end)
	}
}

func (p *pair) same(what string, of, got, want int64) {
	p.t.Helper()
	if got != want {
		p.t.Fatalf("%s(%d) = %d, want %d; base %d, head %d, %d messages", what, of, got, want, p.m.base, p.m.head(), len(p.m.ends))
	}
}

// offsets returns every boundary, of segments and of the latest messages, and what
// is beside it.
func (p *pair) offsets() []int64 {
	m := p.m
	places := []int64{m.origin, m.base, m.whole(), m.head()}
	for at := m.base; at < m.head(); at += m.step {
		places = append(places, at)
	}
	places = append(places, m.ends[max(0, len(m.ends)-20):]...)
	if n := m.upTo(m.base) - m.before; n < len(m.ends) {
		places = append(places, m.ends[n:min(n+5, len(m.ends))]...)
	}
	var all []int64
	for _, at := range places {
		for _, at := range []int64{at - 1, at, at + 1} {
			if at >= m.origin && at <= m.head() {
				all = append(all, at)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// numbers returns the seqs worth asking for.
func (p *pair) numbers() []int {
	n, before := p.m.count(), p.m.before
	all := []int{0, 1, 2, before - 1, before, before + 1, (before + n) / 2, n - 1, n, n + 1, n + 100}
	for _, at := range p.offsets() {
		seq := p.m.upTo(at)
		all = append(all, seq, seq+1)
	}
	all = slices.DeleteFunc(all, func(seq int) bool { return seq < 0 })
	slices.Sort(all)
	return slices.Compact(all)
}
