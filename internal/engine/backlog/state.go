//go:build unix

package backlog

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/feed"
)

// stateVersion is the version of logState. Adding a field keeps it; changing the
// meaning of one needs a new version.
const stateVersion = 1

// logState is a Log in bytes.
type logState struct {
	Version   int
	Epoch     string
	Heard     int64 // up to where any client has received the canonical feed
	Lost, Top int64
	Feeds     [Encodings]*encodedState
}

type encodedState struct {
	Index []byte // feed.State
	Floor int64
}

// State returns a backlog in bytes, for Restore, and the files with the messages
// themselves, one for each feed. They stay the backlog's, which must have been
// stopped.
func State(l *Log) (state []byte, files []int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := logState{Version: stateVersion, Epoch: l.config.Epoch, Heard: l.heard.upTo(), Lost: l.lost.Load(), Top: l.top}
	for e := range l.feeds {
		x := l.feeds[e].Load()
		if x == nil {
			continue
		}
		index, err := x.feed.State()
		if err != nil {
			return nil, nil, err
		}
		s.Feeds[e] = &encodedState{Index: index, Floor: x.floor}
		files = append(files, x.feed.File())
	}
	state, err = json.Marshal(s)
	return state, files, err
}

// Restore rebuilds a backlog from its State, with its epoch. It owns the files, even
// if it fails. An encoding that no client reads stays for Idle.
func Restore(config Config, state []byte, files []int) (*Log, error) {
	var s logState
	var feeds [Encodings]*feed.Feed
	err := json.Unmarshal(state, &s)
	if err == nil && (s.Version != stateVersion || s.Feeds[Canonical] == nil) {
		err = fmt.Errorf("its state is of version %d, not %d, or has no messages", s.Version, stateVersion)
	}
	taken := 0 // files, each by its feed
	for e, x := range s.Feeds {
		switch {
		case err != nil || x == nil:
		case taken == len(files):
			err = fmt.Errorf("it has only %d files", taken)
		default:
			feeds[e], err = feed.Restore(files[taken], x.Index)
			taken++
		}
	}
	if err != nil {
		for _, f := range feeds {
			if f != nil {
				err = errors.Join(err, f.Close())
			}
		}
		for _, file := range files[taken:] {
			_ = unix.Close(file)
		}
		return nil, fmt.Errorf("restore the backlog: %w", err)
	}
	config.Epoch = s.Epoch
	l := newLog(config, feeds[Canonical])
	l.heard.past, l.top = s.Heard, s.Top
	l.lost.Store(s.Lost)
	for e := Canonical + 1; e < Encodings; e++ {
		if feeds[e] != nil {
			x := &encodedFeed{feed: feeds[e], floor: s.Feeds[e].Floor}
			x.left.Store(time.Now().UnixNano())
			l.feeds[e].Store(x)
		}
	}
	return l, nil
}
