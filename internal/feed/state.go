//go:build unix

package feed

// This file writes a feed's index to bytes and reads it back. The messages stay
// in the memory file, which the other process gets along with the index.

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
)

// stateVersion is the version of feedState. Adding a field keeps it; changing
// the meaning of one needs a new version.
const stateVersion = 1

// feedState is a Feed's index in bytes.
type feedState struct {
	Version            int
	Shift              uint
	First, Head, Whole int64
	Count              uint64
	Dropped            bool
	Origins            []Origin // each once
	Segments           []segmentState
}

type segmentState struct {
	Prior uint64
	Ends  []uint32
	Came  []uint64
	From  []whenceState
}

type whenceState struct {
	First int
	Table []int // of Origins, from 1; 0: none
	Whose []uint16
}

// State returns the feed's index as bytes, for Restore. Nothing may be appended
// or dropped afterwards.
func (f *Feed) State() ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := feedState{
		Version: stateVersion, Shift: f.shift,
		First: f.first, Head: f.head.Load(), Whole: f.whole, Count: f.count, Dropped: f.dropped,
	}
	numbers := map[*Origin]int{nil: 0}
	for _, g := range f.segments {
		x := segmentState{Prior: g.prior, Ends: g.ends}
		for _, at := range g.came {
			x.Came = append(x.Came, uint64(at))
		}
		for _, w := range g.from {
			y := whenceState{First: w.first, Whose: w.whose}
			for _, o := range w.table {
				n, known := numbers[o]
				if !known {
					s.Origins = append(s.Origins, *o)
					n = len(s.Origins)
					numbers[o] = n
				}
				y.Table = append(y.Table, n)
			}
			x.From = append(x.From, y)
		}
		s.Segments = append(s.Segments, x)
	}
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(s)
	return b.Bytes(), err
}

// Restore rebuilds a feed from its State and its memory file. It owns file, even
// if it fails. It fails on systems without memory files.
func Restore(file int, state []byte) (*Feed, error) {
	m, err := memoryOf(file)
	if err != nil {
		return nil, fmt.Errorf("restore the feed: %w", err)
	}
	f, err := restore(m, state)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("restore the feed: %w", err), m.close())
	}
	return f, nil
}

func restore(m *memory, state []byte) (*Feed, error) {
	var s feedState
	if err := gob.NewDecoder(bytes.NewReader(state)).Decode(&s); err != nil {
		return nil, err
	}
	if s.Version != stateVersion {
		return nil, fmt.Errorf("its state is of version %d, not %d", s.Version, stateVersion)
	}
	f := &Feed{memory: m, index: index{shift: s.Shift, first: s.First, whole: s.Whole, count: s.Count, dropped: s.Dropped, places: places{}}}
	f.head.Store(s.Head)
	origins := make([]*Origin, 1, len(s.Origins)+1)
	for i := range s.Origins {
		origins = append(origins, &s.Origins[i])
	}
	for i, x := range s.Segments {
		b, err := m.mapAt((s.First+int64(i))<<s.Shift, int(f.Segment()))
		if err != nil {
			return nil, err
		}
		g := &segment{bytes: b, prior: x.Prior, ends: x.Ends}
		for _, at := range x.Came {
			g.came = append(g.came, stamp(at))
		}
		for _, y := range x.From {
			w := whence{first: y.First, whose: y.Whose}
			clear(f.places)
			for place, n := range y.Table {
				w.table = append(w.table, origins[n])
				f.places[origins[n]] = uint16(place)
			}
			g.from = append(g.from, w)
		}
		f.segments = append(f.segments, g)
		f.kept += g.cost()
	}
	f.show()
	return f, nil
}
