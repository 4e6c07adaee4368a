//go:build unix

package engine

// This file frees memory after a burst of connections. An idle program collects no
// garbage, so the memory of thousands of handshakes would stay until the next
// burst.

import (
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

const (
	// burst is the number of connections after which a clean-up is worth its cost.
	burst        = 1000
	cleanUpAfter = 10 * time.Second

	// idleGoroutines is how many ended goroutines each P keeps, with their stacks
	// if these never grew (runtime.gfput).
	idleGoroutines = 64
	smallestStack  = 2 << 10
)

// pass counts connections that closed or went to net/http.
func (a *admission) pass() {
	if a.passed.Add(1)%burst == 0 {
		l := a.engine.loops[0]
		l.Do(func() {
			l.nextCleanUp.Stop() // the last one counts
			l.nextCleanUp.In(cleanUpAfter)
		})
	}
}

// cleanUp runs two collections: objects in a sync.Pool survive one.
func (a *admission) cleanUp() {
	askAll(a.engine, func(l *shard) struct{} { l.shrink(); return struct{}{} })
	a.engine.inbox.Shrink()
	emptyStacks()
	debug.FreeOSMemory()
	debug.FreeOSMemory()
}

// shrink frees unused capacity: slices.Concat copies, and keeps nothing of an empty
// list.
func (l *shard) shrink() {
	l.clients = slices.Concat(l.clients)
	for _, list := range [...]*[]*client{&l.reading.clients, &l.writable.clients, &l.lingering, &l.closing} {
		*list = slices.Concat(*list)
	}
	last := len(l.byFD)
	for last > 0 && l.byFD[last-1] == nil {
		last--
	}
	l.byFD = slices.Concat(l.byFD[:last])
	l.posts = slices.Concat(l.posts)
	l.spareMail = slices.Concat(l.spareMail)
	l.lobby.Shrink()
	l.waste = nil
}

// emptyStacks makes the runtime free the stacks of its idle goroutines. After a
// burst each of them keeps a span of 32 KiB in use. The runtime does not keep a
// stack that has grown.
func emptyStacks() {
	var all sync.WaitGroup
	end := make(chan struct{})
	for range idleGoroutines * runtime.GOMAXPROCS(0) {
		all.Go(func() {
			<-end // all of them are in use at once
			growStack()
		})
	}
	close(end)
	all.Wait()
}

//go:noinline
func growStack() byte {
	var on [smallestStack]byte
	return on[runtime.NumGoroutine()%len(on)]
}
