package codec

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// framesState is a Frames in bytes. A field of it, or of what is in it, may be
// added, but not change its meaning: that takes another version.
type framesState struct {
	Version int
	Header  []byte // of a frame, as far as it has come
	Frame   frame
	Message message
}

const framesVersion = 1

// State is f in bytes, for Restore.
func (f *Frames) State() []byte {
	p, err := json.Marshal(framesState{framesVersion, f.header[:f.held], f.frame, f.message})
	if err != nil {
		panic("codec: " + err.Error()) // structs of numbers and bytes
	}
	return p
}

// Restore makes f what it was when State gave p.
func (f *Frames) Restore(p []byte) error {
	var s framesState
	if err := json.Unmarshal(p, &s); err != nil {
		return fmt.Errorf("restore a WebSocket's frames: %w", err)
	}
	if s.Version != framesVersion {
		return fmt.Errorf("restore a WebSocket's frames: version %d, want %d", s.Version, framesVersion)
	}
	if x := &s.Frame; len(s.Header) > ws.MaxHeaderSize || x.Left < 0 || x.At > 3 || x.KeptLen > longestControl ||
		x.KeptLen > 0 && x.Kept == nil || s.Message.Tail.N >= utf8.UTFMax {
		return errors.New("restore a WebSocket's frames: out of range")
	}
	*f = Frames{frame: s.Frame, message: s.Message, held: uint8(len(s.Header))}
	copy(f.header[:], s.Header)
	return nil
}
