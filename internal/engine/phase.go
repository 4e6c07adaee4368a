//go:build unix

package engine

// phase is how far a client is on its way out. What each means, whether its
// input has ended (its end of file was read) or its output is broken (a write
// failed):
//
//	phase       input     output   is read from       is sent
//	open        open      whole    yes                everything
//	            ended     whole    –                  everything: it watches
//	flushing    open      whole    while it is heard  what it had coming
//	            ended     whole    –                  what it had coming
//	halfBroken  open      broken   to its end         nothing
//	lingering   open      whole    and discarded      its close frame
//	closed      any       any      –                  nothing
//
// All others are impossible between two turns. A client never goes back:
//
//	open, flushing  -> lingering   it has everything, or is cut
//	open, flushing  -> halfBroken  a write failed, and input is left
//	halfBroken      -> closed      its input has ended, or it is cut
//	lingering       -> closed      end of file, or no progress (ending.Linger)
//	any             -> closed      its connection is lost, or the hub closes
type phase uint8

const (
	open phase = iota
	flushing
	halfBroken
	lingering
	closed
)

func (p phase) String() string {
	return [...]string{"open", "flushing", "half-broken", "lingering", "closed"}[p]
}

// receives reports whether what the client sends is still taken.
func (p phase) receives() bool { return p <= halfBroken }

// sends reports whether the client gets its part of the feed.
func (p phase) sends() bool { return p <= flushing }
