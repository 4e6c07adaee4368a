//go:build unix

package backlog

// This file appends messages to every feed. It is the one sequencing point:
//
//	Publish      appends, or returns what closes when there may be room
//	PublishWait  tries again until there is room
//
// The publisher encodes its messages once per encoding that has a feed.

import (
	"context"
	"time"

	"hubbub.example/internal/feed"
)

// Messages are published together, in the form that package feed takes.
type Messages struct {
	Bytes []byte // the messages with their separators
	Ends  []int  // where each ends
	Runs  []feed.Run
}

// How is a way to publish messages.
type How uint8

// How messages may be published.
const (
	Paced     How = iota // once they fit
	Here                 // likewise; they count as received if all before them was
	Unbounded            // even if they do not fit
)

// Publish appends messages and wakes the shards. If they do not fit, it appends
// nothing and returns a channel that is closed when to try again.
func (l *Log) Publish(m Messages, how How) (retry <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isStopped() {
		return nil, ErrClosed
	}
	at := time.Now()
	all := l.encodeAll(m, at)
	if how != Unbounded && l.excess(func(e Encoding) feed.Growth { return all[e].growth() }) {
		return l.changed, nil
	}
	heard := how == Here && l.heard.upTo() == l.feed.Head()
	err = l.append(all, at)
	if heard {
		l.heard.reach(l.feed.Head())
	}
	return nil, err
}

// PublishWait is Publish that waits for room.
func (l *Log) PublishWait(ctx context.Context, m Messages, how How) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	retry, err := l.Publish(m, how)
	if retry == nil {
		return err
	}
	l.Hold()
	defer l.Release()
	for {
		select {
		case <-retry:
		case <-ctx.Done():
			return ctx.Err()
		case <-l.stopped:
			return ErrClosed
		}
		if retry, err = l.Publish(m, how); retry == nil {
			return err
		}
	}
}

// Hold and Release count blocked publishers: slow clients are judged only while
// there is one.
func (l *Log) Hold() {
	l.blocked.Add(1)
	l.config.Wake()
}

// Release ends a Hold.
func (l *Log) Release() { l.blocked.Add(-1) }

// Blocked reports whether a publisher is blocked.
func (l *Log) Blocked() bool { return l.blocked.Load() > 0 }

// append appends to every feed, asks for room one segment ahead, and wakes the
// shards. The canonical feed comes last: whoever sees its new head finds the
// others there. The caller holds mu.
func (l *Log) append(all *[Encodings]batch, at time.Time) error {
	for e := range l.feeds {
		if x := l.feeds[e].Load(); x != nil {
			if err := x.feed.Reserve(len(all[e].bytes)); err != nil {
				return err // nothing has been appended to any feed
			}
		}
	}
	l.exclude(all[Canonical].runs)
	for e := Encodings - 1; e > Canonical; e-- {
		if x := l.feeds[e].Load(); x != nil {
			_ = x.feed.Append(all[e].bytes, all[e].ends, 0, all[e].runs...) // reserved
		}
	}
	canonical := &all[Canonical]
	if err := l.feed.Append(canonical.bytes, canonical.ends, at.UnixMilli(), canonical.runs...); err != nil {
		return err
	}
	l.excess(func(Encoding) feed.Growth { return feed.Growth{Bytes: l.feed.Segment()} })
	l.config.Wake()
	return nil
}

// exclude calls Excluded for clients that must not get some of the next messages,
// before these become visible. The caller holds mu.
func (l *Log) exclude(runs []feed.Run) {
	if runs == nil {
		return
	}
	last := l.feed.Count()
	for _, run := range runs {
		last += uint64(run.Messages)
		if run.Of == nil {
			continue
		}
		for _, id := range run.Of.Not {
			l.config.Excluded(id, last)
		}
	}
}

// batch is the messages being published, in one encoding.
type batch struct {
	bytes []byte
	ends  []int
	runs  []feed.Run
}

func (b *batch) add(encode Encode, m feed.Kept) {
	b.bytes = encode(b.bytes, m)
	b.ends = append(b.ends, len(b.bytes))
}

func (b *batch) growth() feed.Growth {
	return feed.Growth{Bytes: int64(len(b.bytes)), Messages: len(b.ends), Runs: b.runs}
}

// encodeAll encodes messages in every encoding that has a feed. The caller holds
// mu; the result is valid until it unlocks.
func (l *Log) encodeAll(m Messages, at time.Time) *[Encodings]batch {
	all := &l.batches
	all[Canonical] = batch{m.Bytes, m.Ends, m.Runs}
	first := uint64(0)
	for e := Canonical + 1; e < Encodings; e++ {
		if l.feeds[e].Load() == nil {
			continue
		}
		if first == 0 {
			first = l.feed.Count() + 1
		}
		b := &all[e]
		b.bytes, b.ends, b.runs = b.bytes[:0], b.ends[:0], m.Runs
		kept := feed.Kept{Seq: first, At: at.UnixMilli()}
		begin, origins := 0, feed.Origins{Runs: m.Runs}
		for _, end := range m.Ends {
			kept.Of, kept.Bytes = origins.Next(), m.Bytes[begin:end-l.config.Separator]
			b.add(l.encode[e], kept)
			begin = end
			kept.Seq++
		}
	}
	return all
}
