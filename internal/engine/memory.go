//go:build unix

package engine

// This file frees memory after a burst of connections. An idle program collects no
// garbage, so the memory of thousands of handshakes would stay until the next
// burst.

import (
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

const (
	// crowd is the number of connections after which a clean-up is worth its cost.
	crowd        = 1000
	cleanUpAfter = 10 * time.Second

	// idleGoroutines is how many ended ones each P keeps for later, with their
	// stacks if those never grew (runtime.gfput).
	idleGoroutines = 64
	smallestStack  = 2 << 10
)

// pass counts connections that went by.
func (a *admission) pass() {
	if a.passed.Add(1)%crowd == 0 {
		l := a.engine.loops[0]
		l.Do(func() {
			l.nextCleanUp.Stop() // the last counts
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

// shrink frees unused capacity.
func (l *shard) shrink() {
	l.clients = tight(l.clients)
	for _, list := range [...]*[]*client{&l.reading.clients, &l.writable.clients, &l.lingering, &l.closing} {
		*list = tight(*list)
	}
	last := len(l.byFD)
	for last > 0 && l.byFD[last-1] == nil {
		last--
	}
	l.byFD = tight(l.byFD[:last])
	l.posts = tight(l.posts)
	l.spareMail = tight(l.spareMail)
	l.lobby.Shrink()
	l.waste = nil
}

// tight is a list without the room behind it, if that is more than it needs.
func tight[T ~[]E, E any](list T) T {
	if cap(list) <= 2*len(list) {
		return list
	}
	return append(T(nil), list...)
}

// emptyStacks has the runtime's idle goroutines lose their stacks: each stack
// lies in a span of 32 KiB, which is mostly empty after a crowd and stays for
// it. A stack that has grown is not kept when its goroutine ends.
func emptyStacks() {
	var all sync.WaitGroup
	end := make(chan struct{})
	for range idleGoroutines * runtime.GOMAXPROCS(0) {
		all.Go(func() {
			<-end // all of them are needed at once
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
