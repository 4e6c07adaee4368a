package logger

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"hubbub.example/internal/quantity"
)

// Many clients may close at once, as in an attack. Per period the log has the first
// few lines of a kind, then the number of the rest.
const (
	groupPeriod = time.Second
	groupFew    = 10
)

// Kind is what lines of one kind have in common.
type Kind struct {
	Of   string // what happened to these clients: "closed: lapped"
	Code string // the same, for programs; "" is left out
}

// group is one kind in the current period.
type group struct {
	logged int
	others int
	unread int64
}

// groups are the kinds of the current period.
type groups struct {
	mu    sync.Mutex
	kinds map[Kind]*group
}

// Group logs a line about one client unless there are many of its kind. unread is
// the number of bytes from the client that are lost.
func (q *Queue) Group(kind Kind, unread int, format string, args ...any) {
	if q.groups.isFew(q, kind, unread) {
		q.warn(kind, format, args...)
	}
}

func (q *Queue) warn(kind Kind, format string, args ...any) {
	if kind.Code == "" {
		q.Warnf(format, args...)
		return
	}
	q.log(slog.LevelWarn, format, args, slog.String("code", kind.Code))
}

// isFew counts a line and reports whether it is one of the first few. The
// first of a period starts it.
func (g *groups) isFew(q *Queue, kind Kind, unread int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.kinds == nil {
		g.kinds = map[Kind]*group{}
		time.AfterFunc(groupPeriod, func() { g.end(q) })
	}
	x := g.kinds[kind]
	if x == nil {
		x = &group{}
		g.kinds[kind] = x
	}
	if x.logged < groupFew {
		x.logged++
		return true
	}
	x.others++
	x.unread += int64(unread)
	return false
}

// end ends a period and logs what was not logged in it.
func (g *groups) end(q *Queue) {
	g.mu.Lock()
	kinds := g.kinds
	g.kinds = nil
	g.mu.Unlock()
	for _, kind := range slices.SortedFunc(maps.Keys(kinds), func(a, b Kind) int { return cmp.Compare(a.Of, b.Of) }) {
		if x := kinds[kind]; x.others > 0 {
			q.warn(kind, "and %s %s%s", quantity.Count(int64(x.others), "other client"), kind.Of, Unread(x.unread, "they"))
		}
	}
}

// Unread returns a phrase for the lost input of who ("it", "they").
func Unread(n int64, who string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("; %s that %s had sent are not read", quantity.Bytes(n), who)
}
