package console

import (
	"io"
	"strconv"
	"sync"
	"time"
)

// This file is the only one that writes to the terminal, and one goroutine
// does. What is on the screen:
//
//	… messages, which the terminal scrolls and keeps, as anybody's output
//	> the line being typed      ┐
//	  a panel, when one is open │ the frame
//	  status                    ┘
//
// The cursor stands on the frame's first row, always. So a picture begins with
// "to the left, and erase what is below", whatever the terminal's height and
// width, and however it has counted the cells of what somebody sent: there is
// nothing to keep count of, hence nothing to tear. Then come the messages,
// which may wrap and scroll as they like, then the frame again. Its lines may
// not wrap, and where the cursor goes the terminal has saved itself, so that
// the frame, too, survives characters of a width that is disputed.
//
// A terminal that does not take what is written blocks this goroutine and
// nobody else.

// frame is what stands below the messages. Its parts are fit for a terminal.
type frame struct {
	before, after string // the line being typed, around the cursor
	column        int    // where the cursor should be, if widths are as we think
	below         string // what stands on the rows below it, "\n" between them
}

// What is drawn at a time, and how often. 7,680 messages a second is what
// this comes to; what comes faster than that is counted, not drawn.
const (
	interval    = time.Second / 30
	fullPicture = 256      // messages
	fullBytes   = 64 << 10 // of their text
)

// Modes of the terminal (xterm's ctlseqs.txt has them all). A picture is
// between sync and synced, which have a terminal that knows them show it in
// one go.
const (
	sync2026, synced2026 = "\x1b[?2026h", "\x1b[?2026l"
	wrapOff, wrapOn      = "\x1b[?7l", "\x1b[?7h"
	pasteOn, pasteOff    = "\x1b[?2004h", "\x1b[?2004l"
	saveCursor           = "\x1b7"
	restoreCursor        = "\x1b8"
	eraseBelow           = "\r\x1b[C\x1b[J\r\x1b[K" // not all at once: at home, tmux takes that for a screen to remember
	eraseAll             = "\x1b[H\x1b[2J"
)

// painter draws.
type painter struct {
	look
	told *roll // the log, and what came of commands
	said *roll // messages
	wake chan struct{}

	terminal sync.Mutex // the right to write, which may take as long as the terminal likes
	out      io.Writer

	mu      sync.Mutex // never held while anything is written
	frame   frame
	fresh   bool   // the frame is not on the screen yet
	away    bool   // the terminal is somebody else's for now
	paused  bool   // messages are held back
	times   bool   // before each message
	filter  filter // what is shown
	clear   bool   // the screen is to be cleared first
	columns int    // of the terminal
	drawnAt spot   // where the last picture left the cursor
	undrawn uint64 // messages, all together
	hidden  uint64 // by the filter, since it was set

	// Whoever has the right to write.
	buf   []byte
	batch [2][]entry
}

// spot is a column of the frame's first row, and how many there were.
type spot struct{ column, columns int }

// reflown is how many rows the cursor has gone down with the line being typed,
// which a terminal breaks that is made narrower. (xterm cuts it instead: there
// a row of what is above will be erased.)
func (s spot) reflown(columns int) int {
	if columns <= 0 || columns >= s.columns {
		return 0
	}
	return s.column / columns
}

// nudge has the painter look whether there is something to draw.
func (p *painter) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// change changes what the painter goes by.
func (p *painter) change(how func()) {
	p.mu.Lock()
	how()
	p.fresh = true
	p.mu.Unlock()
	p.nudge()
}

// show is the frame from now on.
func (p *painter) show(f frame) {
	p.mu.Lock()
	same := f == p.frame && !p.fresh
	p.frame, p.fresh = f, !same
	p.mu.Unlock()
	if !same {
		p.nudge()
	}
}

// counts is what the status line says of the painter.
type counts struct {
	undrawn, hidden, held uint64
	paused                bool
}

func (p *painter) counts() counts {
	held, lapped := p.said.waiting()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.paused {
		held = 0
	}
	return counts{p.undrawn + lapped, p.hidden, held, p.paused}
}

// run draws until stop is closed, at most so often.
func (p *painter) run(stop <-chan struct{}) error {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-stop:
			return nil
		case <-pause.C:
		}
		select {
		case <-stop:
			return nil
		case <-p.wake:
		}
		if err := p.draw(); err != nil {
			return err
		}
		pause.Reset(interval)
	}
}

// draw draws what is new.
func (p *painter) draw() error {
	p.terminal.Lock()
	defer p.terminal.Unlock()
	picture := p.picture()
	if len(picture) == 0 {
		return nil
	}
	_, err := p.out.Write(picture)
	return err
}

// picture is what brings the screen up to date; nothing if it is.
func (p *painter) picture() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away {
		return nil
	}
	p.buf = append(p.buf[:0], sync2026...)
	if rows := p.drawnAt.reflown(p.columns); rows > 0 {
		p.buf = append(p.buf, "\x1b["+strconv.Itoa(rows)+"A"...)
	}
	p.buf = append(p.buf, eraseBelow...)
	if p.clear {
		p.buf = append(p.buf, eraseAll...)
	}
	start := len(p.buf)
	p.appendNew()
	if len(p.buf) == start && !p.fresh {
		return nil
	}
	p.appendFrame()
	p.buf = append(p.buf, synced2026...)
	p.fresh, p.clear = false, false
	p.drawnAt = spot{p.frame.column, p.columns}
	return p.buf
}

// appendNew appends what has come since the last picture.
func (p *painter) appendNew() {
	told := p.told.take(p.batch[0][:0], fullPicture, fullBytes, filter{})
	said := taken{entries: p.batch[1][:0]}
	if !p.paused {
		said = p.said.take(said.entries, fullPicture, fullBytes, p.filter)
	}
	p.undrawn += told.lapped + said.lapped
	p.hidden += said.hidden
	for _, t := range []taken{told, said} {
		if t.lapped > 0 {
			p.buf = p.look.undrawn(p.buf, t.lapped, p.columns)
		}
	}
	p.appendInOrder(told.entries, said.entries)
	clear(told.entries) // let go of the texts
	clear(said.entries)
	p.batch = [2][]entry{told.entries, said.entries}
	if told.more || said.more {
		p.nudge()
	}
}

// appendInOrder appends the entries of both as they came.
func (p *painter) appendInOrder(a, b []entry) {
	for len(a)+len(b) > 0 {
		if len(b) == 0 || len(a) > 0 && a[0].came < b[0].came {
			a, b = b, a
		}
		p.buf = p.append(p.buf, &b[0], p.times, p.columns)
		b = b[1:]
	}
}

// appendFrame appends the frame, from the row it begins on. Rows are made
// first, so that nothing scrolls after the cursor is saved.
func (p *painter) appendFrame() {
	rows := 0
	if p.frame.below != "" {
		rows = 1
	}
	for i := range len(p.frame.below) {
		if p.frame.below[i] == '\n' {
			rows++
		}
	}
	for range rows {
		p.buf = append(p.buf, '\n')
	}
	if rows > 0 {
		p.buf = append(p.buf, "\x1b["+strconv.Itoa(rows)+"A"...)
	}
	p.buf = append(p.buf, wrapOff...)
	p.buf = append(p.buf, p.frame.before...)
	p.buf = append(p.buf, saveCursor...)
	p.buf = append(p.buf, p.frame.after...)
	if rows > 0 {
		p.buf = append(p.buf, "\r\n"...)
		for i := range len(p.frame.below) {
			if p.frame.below[i] == '\n' {
				p.buf = append(p.buf, '\r')
			}
			p.buf = append(p.buf, p.frame.below[i])
		}
	}
	p.buf = append(p.buf, restoreCursor+wrapOn...)
}

// enter takes the terminal, which somebody else may have drawn on.
func (p *painter) enter() error {
	p.terminal.Lock()
	defer p.terminal.Unlock()
	p.change(func() { p.away, p.drawnAt = false, spot{} })
	_, err := io.WriteString(p.out, pasteOn)
	return err
}

// leave gives the terminal back, without the frame.
func (p *painter) leave() {
	p.mu.Lock()
	was := p.away
	p.away = true
	p.mu.Unlock()
	p.terminal.Lock()
	defer p.terminal.Unlock()
	if !was {
		_, _ = io.WriteString(p.out, eraseBelow+wrapOn+pasteOff)
	}
}

// finish draws what is left to draw, once there is no frame any more.
func (p *painter) finish() {
	p.terminal.Lock()
	defer p.terminal.Unlock()
	for {
		p.mu.Lock()
		p.paused = false
		p.buf = p.buf[:0]
		p.appendNew()
		p.mu.Unlock()
		if len(p.buf) == 0 {
			return
		}
		if _, err := p.out.Write(p.buf); err != nil {
			return
		}
	}
}
