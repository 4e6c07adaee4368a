//go:build unix

package main

import (
	"bytes"
	"cmp"
	"slices"
	"sync"

	"hubbub.example"
	"hubbub.example/internal/jsonl"
)

// present is who is there as far as a command was told: its next process is told
// the same, as joins.
type present struct {
	mu    sync.Mutex
	known map[uint64]*jsonl.Event
	seen  int // lines of the present batch

	// Names of who is in that batch, maybe: a command may give one as soon as it
	// has read a line, and follow comes when more than that is written.
	early map[uint64]string
}

func newPresent() *present {
	return &present{known: map[uint64]*jsonl.Event{}, early: map[uint64]string{}}
}

// follow takes up the events of b, of which these lines were written.
func (p *present) follow(b *hubbub.Batch, written []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	lines, n := bytes.Count(written, []byte("\n")), 0
	for e := range b.Events() {
		if n++; n > lines {
			return
		}
		if n <= p.seen {
			continue
		}
		p.seen = n
		switch e.Kind {
		case hubbub.Join:
			j := eventLine(e)
			if name, is := p.early[e.Client]; is {
				j.Name = name
			}
			p.known[e.Client] = &j
		case hubbub.Leave:
			delete(p.known, e.Client)
		}
	}
}

// next is for the next batch.
func (p *present) next() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = 0
	clear(p.early)
}

// rename is for a command that has called a client something else.
func (p *present) rename(id uint64, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.known[id]; e != nil {
		e.Name = name
	} else {
		p.early[id] = name
	}
}

// joins is who is there, in the order in which they came.
func (p *present) joins() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*jsonl.Event, 0, len(p.known))
	for _, e := range p.known {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *jsonl.Event) int { return cmp.Compare(a.ID, b.ID) })
	var lines []byte
	for _, e := range all {
		lines = jsonl.AppendEvent(lines, e)
	}
	return lines
}
