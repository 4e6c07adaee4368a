package codec

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// framesState is a Frames in bytes. A field may be added, but not change its
// meaning: that takes another version.
type framesState struct {
	Version int
	Header  []byte `json:",omitempty"` // of a frame, as far as it has come

	// The frame whose payload is being read.
	Frame   bool `json:",omitempty"`
	Fin     bool `json:",omitempty"`
	Op      byte
	Mask    [4]byte
	MaskAt  uint8
	Left    int64
	Control []byte `json:",omitempty"` // the payload of a control frame, as far as it has come

	// The message that is being read.
	Message bool `json:",omitempty"`
	Begun   bool `json:",omitempty"`
	Text    bool `json:",omitempty"`
	Size    int64
	Rune    []byte `json:",omitempty"` // that the bytes so far end within
}

const framesVersion = 1

// State is f in bytes, for Restore.
func (f *Frames) State() []byte {
	s := framesState{
		Version: framesVersion, Header: f.header[:f.held],
		Frame: f.frame.open, Fin: f.frame.fin, Op: byte(f.frame.op), Mask: f.frame.mask, MaskAt: f.frame.at, Left: f.frame.left,
		Message: f.message.open, Begun: f.message.begun, Text: f.message.text, Size: f.message.size,
		Rune: f.message.tail.bytes[:f.message.tail.n],
	}
	if f.frame.kept != nil {
		s.Control = f.frame.kept[:f.frame.keptLen]
	}
	p, err := json.Marshal(s)
	if err != nil {
		panic("codec: " + err.Error()) // a struct of numbers and bytes
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
	if len(s.Header) > ws.MaxHeaderSize || len(s.Control) > longestControl || len(s.Rune) >= utf8.UTFMax || s.Left < 0 || s.MaskAt > 3 {
		return fmt.Errorf("restore a WebSocket's frames: out of range")
	}
	*f = Frames{
		held:    uint8(len(s.Header)),
		frame:   frame{open: s.Frame, fin: s.Fin, op: ws.OpCode(s.Op), mask: s.Mask, at: s.MaskAt, left: s.Left},
		message: message{open: s.Message, begun: s.Begun, text: s.Text, size: s.Size, tail: tail{n: uint8(len(s.Rune))}},
	}
	copy(f.header[:], s.Header)
	copy(f.message.tail.bytes[:], s.Rune)
	if len(s.Control) > 0 {
		f.frame.kept, f.frame.keptLen = new([longestControl]byte), uint8(len(s.Control))
		copy(f.frame.kept[:], s.Control)
	}
	return nil
}
