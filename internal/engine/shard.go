//go:build unix

package engine

// This file is the event loop. A turn is:
//
//	wait      for an event, another goroutine or a timer
//	mail      what other goroutines left: connections, tasks
//	handle    clients are read from, writable ones noted
//	accept    connections are accepted, and pending ones become clients
//	deliver   what was read goes to the inbox, before anything slow
//	handlers  the source and the sink have their turn
//	trim      clients leave what the backlog wants to trim
//	flush     a slice of the clients is sent to
//	timers    what is due by the clock
//	close     clients that have ended are released
//
// Nothing in a turn waits: every call returns at once, and what could not be done
// is done in a later turn.

import (
	"fmt"
	"runtime/debug"
	"sync"

	"hubbub.example/internal/engine/accept"
	"hubbub.example/internal/engine/link"
	"hubbub.example/internal/engine/loop"
	"hubbub.example/internal/poll"
)

// turnBytes is how much a turn reads from clients with events, and as much again
// from clients that had more before, so that others are sent to in between.
const turnBytes = 1 << 20

// shard is one event loop and the clients that it owns. Only its own goroutine uses
// it, except for mail.
type shard struct {
	*loop.Loop
	engine *Engine
	index  int // in engine.loops

	listening
	pending
	members
	receiving
	sending
	trimming
	liveness
	ends
	shutdown
	stats    loopStats
	handlers []attached // the first shard's only

	nextSweep, nextCleanUp *loop.Timer

	mail mail
}

// owner is the shard that a part belongs to. A part changes only its own fields
// and calls the methods of other parts through it.
type owner struct {
	shard  *shard
	engine *Engine
}

// sweep drops feeds that nobody has read for a while. Only the first shard calls it.
func (l *shard) sweep() {
	if next := l.engine.backlog.Sweep(); next > 0 {
		l.nextSweep.In(next)
	}
}

// mail is what other goroutines leave for a shard.
type mail struct {
	mu       sync.Mutex
	conns    []accept.Conn
	arrivals []arrival
	private  []private
}

func newShard(h *Engine, hold bool) (*shard, error) {
	e, err := loop.New(h.began, hold)
	if err != nil {
		return nil, err
	}
	l := &shard{Loop: e, engine: h}
	for _, part := range [...]*owner{
		&l.listening.owner, &l.pending.owner, &l.members.owner, &l.receiving.owner, &l.sending.owner,
		&l.trimming.owner, &l.liveness.owner, &l.ends.owner, &l.shutdown.owner,
	} {
		*part = owner{l, h}
	}
	l.lobby.Rules = accept.Rules{Sniff: h.o.Sniff, Head: h.o.HeadTime, Preconnects: &h.preconnects}
	l.in, l.mark = h.inbox.NewWriter(), h.backlog.NewMark()
	l.reading.as, l.writable.as = link.Reading, link.Writing
	l.nextSample = l.NewTimer(l.sample)
	l.nextLinger = l.NewTimer(l.checkLinger)
	l.nextLiveness = l.NewTimer(l.checkLiveness)
	l.nextLobby = l.NewTimer(l.setLobbyTimer) // turnLobby acts
	l.nextBeat = l.NewTimer(l.beat)
	l.nextSweep = l.NewTimer(l.sweep)
	l.nextCleanUp = l.NewTimer(func() { go h.cleanUp() })
	l.nextAccept = l.NewTimer(func() { h.resting.Store(false) })
	return l, nil
}

func (l *shard) run() {
	defer l.engine.running.Done()
	defer l.catch()
	for !l.quit {
		events := l.wait()
		l.openMail()
		l.handle(events)
		l.readReady()
		l.stats.bytesIn += l.in.EnterPosts()
		l.accept()
		l.turnLobby()
		l.in.Deliver()
		l.turnHandlers()
		l.trim()
		l.flush()
		l.mark.Show()
		l.RunTimers()
		l.in.EnterDeferred()
		l.resumeAccept()
		l.closeEnded()
		l.checkQuit()
		l.stats.publish(l.in.Messages())
	}
}

// die ends the shard, and with it the hub, for an error.
func (l *shard) die(err error) {
	l.quit = true
	l.engine.fail(err)
	go func() { _ = l.engine.Close() }()
}

// catch makes an error of a panic: the program that embeds the hub lives on.
func (l *shard) catch() {
	if p := recover(); p != nil {
		l.die(fmt.Errorf("a defect in hubbub ended a loop: %v", p))
		l.engine.log.Debugf("%s", debug.Stack())
	}
}

// wait returns the events of the next turn.
func (l *shard) wait() []poll.Event {
	events, err := l.Wait(l.busy)
	l.in.SetTime(l.Wall())
	if err != nil {
		l.die(err)
	}
	return events
}

// busy reports whether there is something to do that no event will report.
func (l *shard) busy() bool {
	return len(l.reading.clients) > 0 && l.canRead() || l.flushing() || l.in.Undelivered()
}

// leaveMail leaves x in one of the shard's mail lists. Any goroutine.
func leaveMail[T any](l *shard, list *[]T, x T) {
	l.mail.mu.Lock()
	*list = append(*list, x)
	l.mail.mu.Unlock()
	l.Wake()
}

// call runs f on the shard, and reports whether it ran before the hub was closed.
func (l *shard) call(f func()) bool {
	done := make(chan struct{})
	l.Do(func() { f(); close(done) })
	select {
	case <-done:
		return true
	case <-l.engine.closed:
	}
	select {
	case <-done: // and closed with it
		return true
	default:
		return false
	}
}

// askAll asks every shard. Once the hub is closed, some do not answer.
func askAll[T any](h *Engine, each func(l *shard) T) []T {
	answers := make(chan T, len(h.loops))
	for _, l := range h.loops {
		l.Do(func() { answers <- each(l) })
	}
	var all []T
	for range h.loops {
		select {
		case a := <-answers:
			all = append(all, a)
		case <-h.closed:
			return all
		}
	}
	return all
}

func (l *shard) openMail() {
	l.mail.mu.Lock()
	conns, arrivals := l.mail.conns, l.mail.arrivals
	l.mail.conns, l.mail.arrivals = nil, nil
	l.mail.mu.Unlock()
	for _, k := range conns {
		l.come(k)
	}
	for _, a := range arrivals {
		l.adopt(a)
	}
	if err := l.RunTasks(); err != nil {
		l.engine.fail(err)
	}
}

// handle handles the events of this turn.
func (l *shard) handle(events []poll.Event) {
	l.until = l.stats.bytesIn + turnBytes
	for i := range events {
		e := &events[i]
		fd := e.FD()
		if c := l.clientOf(fd); c != nil {
			l.handleClient(c, e)
		} else if k := l.lobby.Find(fd); k != nil {
			l.act(l.lobby.Event(k, e, l.Millis()))
		} else if !l.acceptor.Event(fd) {
			l.tellHandler(e)
		}
	}
}

func (l *shard) handleClient(c *client, e *poll.Event) {
	if c.phase >= closed {
		return
	}
	read, send := c.link.Event(e)
	if read && l.stats.bytesIn < l.until {
		l.read(c)
	} else if read {
		l.readSoon(c)
	}
	l.checkHangUp(c)
	if send {
		l.hasRoom(c)
	}
}
