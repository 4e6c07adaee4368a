package join

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"
	"time"

	"hubbub.example/internal/framing"
)

// printer is the server's way to STDOUT. Bytes go out as they come: a prompt
// has no newline. Only records are whole, since whoever reads them counts.
//
// Tagged and JSON need messages as well: there each is held until it is whole,
// and is cut into several if it is very long.
//
// One goroutine at a time writes.
type printer struct {
	w     io.Writer
	frame framing.Framing
	out   Out // "" is Plain

	began bool   // STDOUT stands inside a message
	owed  bool   // one that will not go on: its separator comes before the next byte
	held  []byte // the beginning of a record, or of a message that must be whole
	text  bytes.Buffer

	waiting atomic.Int64 // since when a write waits, in Unix nanoseconds; 0: none does
}

func (p *printer) Write(b []byte) (int, error) {
	sep := p.frame.Separator()
	switch {
	case len(b) == 0:
		return 0, nil
	case p.out == Tagged, p.out == JSON:
		return len(b), p.messages(b)
	case p.frame > 0:
		return len(b), p.records(b)
	case p.owed && sep != nil:
		p.owed = false
		if err := p.write(sep); err != nil {
			return 0, err
		}
	}
	p.began = !bytes.HasSuffix(b, sep)
	return len(b), p.write(b)
}

// longestHeld is how much of a message is held at most.
const longestHeld = 16 << 20

// messages writes the messages that b completes, as out says.
func (p *printer) messages(b []byte) error {
	p.text.Reset()
	now := time.Now()
	if p.owed {
		p.renderHeld(now)
	}
	for len(b) > 0 {
		n := p.frame.FirstEnd(b, int64(len(p.held)))
		if n == 0 && len(p.held)+len(b) < longestHeld {
			p.held = append(p.held, b...)
			break
		}
		if n == 0 {
			n = len(b)
		}
		p.held = append(p.held, b[:n]...)
		b = b[n:]
		p.renderHeld(now)
	}
	return p.write(p.text.Bytes())
}

// renderHeld renders what is held as a message.
func (p *printer) renderHeld(now time.Time) {
	m := bytes.TrimSuffix(p.held, p.frame.Separator())
	p.out.render(&p.text, p.frame, arrived(m, now))
	p.owed, p.held = false, p.held[:0]
}

// records writes the records that b completes.
func (p *printer) records(b []byte) error {
	if len(p.held) > 0 {
		n := min(len(b), int(p.frame)-len(p.held))
		p.held = append(p.held, b[:n]...)
		b = b[n:]
		if len(p.held) < int(p.frame) {
			return nil
		}
		if err := p.write(p.held); err != nil {
			return err
		}
		p.held = p.held[:0]
	}
	whole := len(b) - len(b)%int(p.frame)
	p.held = append(p.held, b[whole:]...)
	return p.write(b[:whole])
}

func (p *printer) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	p.waiting.Store(time.Now().UnixNano())
	_, err := p.w.Write(b)
	p.waiting.Store(0)
	if err != nil {
		return &stdoutError{err}
	}
	return nil
}

// blocked returns for how long a write has been waiting.
func (p *printer) blocked() time.Duration {
	if since := p.waiting.Load(); since != 0 {
		return time.Since(time.Unix(0, since))
	}
	return 0
}

// broke reports whether what has begun will not go on. It reports whether anything
// had: a line is ended before the next begins, a piece of a record is dropped.
func (p *printer) broke() bool {
	torn := p.began || len(p.held) > 0
	if p.frame <= 0 && len(p.held) > 0 {
		p.owed = true
		return torn
	}
	p.owed = p.owed || p.began
	p.began, p.held = false, p.held[:0]
	return torn
}

// end prints what the server sent of a last record, and what the writer itself
// has held back.
func (p *printer) end() error {
	if p.frame <= 0 && len(p.held) > 0 {
		p.text.Reset()
		p.renderHeld(time.Now())
		p.held = p.text.Bytes()
	}
	err := p.write(p.held)
	p.held = nil
	if w, is := p.w.(interface{ Flush() error }); is && err == nil {
		if err := w.Flush(); err != nil {
			return &stdoutError{err}
		}
	}
	return err
}

// stdoutError says that STDOUT takes no more.
type stdoutError struct{ err error }

func (e *stdoutError) Error() string { return fmt.Sprintf("write STDOUT: %v", nameless(e.err)) }
func (e *stdoutError) Unwrap() error { return e.err }

func isStdout(err error) bool { return errors.As(err, new(*stdoutError)) }

// nameless is err without the name of the file: that is not what whoever
// started us calls it.
func nameless(err error) error {
	if named, is := errors.AsType[*fs.PathError](err); is {
		return named.Err
	}
	return err
}
