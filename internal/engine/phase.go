//go:build unix

package engine

// phase is how far a client has ended. Input has ended when its end of file was
// read; output is broken when a write failed:
//
//	phase       input     output   read from          sent
//	open        open      whole    yes                everything
//	            ended     whole    –                  everything: it watches
//	flushing    open      whole    yes                everything up to its end
//	            ended     whole    –                  everything up to its end
//	halfBroken  open      broken   to the end         nothing
//	lingering   open      whole    discarded          its close frame
//	closed      any       any      –                  nothing
//
// Other combinations are impossible between two turns. A client never goes back:
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

// receives reports whether the client's input is still received.
func (p phase) receives() bool { return p <= halfBroken }

// sends reports whether the client is still sent its feed.
func (p phase) sends() bool { return p <= flushing }
