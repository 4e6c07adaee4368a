//go:build unix

package hubbub

// This file gives memory back when a crowd has gone by. An idle program
// collects no garbage, so what thousands of handshakes needed would stay until
// the next thousands.

import (
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

const (
	// crowd is how many connections leave so much that it is worth it.
	crowd        = 1000
	cleanUpAfter = 10 * time.Second

	// idleGoroutines is how many ended ones each P keeps for later, with their
	// stacks if those never grew (runtime.gfput).
	idleGoroutines = 64
	smallestStack  = 2 << 10
)

// pass counts connections that went by.
func (h *Hub) pass() {
	if h.passed.Add(1)%crowd == 0 {
		l := h.loops[0]
		l.do(func() { l.nextCleanUp = l.now.Add(cleanUpAfter) })
	}
}

// cleanUp collects twice: what a sync.Pool holds outlives one collection.
func cleanUp() {
	emptyStacks()
	debug.FreeOSMemory()
	debug.FreeOSMemory()
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
