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
	askCursor            = "\x1b[6n"
	eraseAll             = "\x1b[H\x1b[2J"
)

// screen is what is drawn on.
type screen interface {
	io.Writer
	size() (columns, rows int)
}

// layout is the frame for a terminal of that size.
type layout func(columns, rows int) frame

// painter draws.
type painter struct {
	look
	told *roll // the log, and what came of commands
	said *roll // messages
	wake chan struct{}

	reports chan int // the cursor's column, as the terminal says when asked

	terminal sync.Mutex // the right to write, which may take as long as the terminal likes
	out      screen

	mu      sync.Mutex // never held while anything is written
	frame   frame
	fresh   bool   // the frame is not on the screen yet
	away    bool   // the terminal is somebody else's for now
	paused  bool   // messages are held back
	times   bool   // before each message
	filter  filter // what is shown
	clear   bool   // the screen is to be cleared first
	columns int    // of the terminal
	undrawn uint64 // messages, all together
	hidden  uint64 // by the filter, since it was set

	// Whoever has the right to write.
	drawnAt spot // where the last picture left the cursor
	buf     []byte
	batch   [2][]entry
}

// spot is a column of the frame's first row, and how many there were.
type spot struct{ column, columns int }

// reflown is how many rows the cursor has gone down with the line being typed
// in a terminal that was made narrower and breaks lines that are too long.
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
func (p *painter) run(stop <-chan struct{}, layout layout) error {
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
		if err := p.draw(layout); err != nil {
			return err
		}
		pause.Reset(interval)
	}
}

// draw draws what is new, for the size that the terminal has right now: a
// signal that says so may come later than the change.
func (p *painter) draw(layout layout) error {
	p.terminal.Lock()
	defer p.terminal.Unlock()
	columns, rows := p.out.size()
	picture := p.picture(layout(columns, rows), columns, p.reflown(columns))
	if len(picture) == 0 {
		return nil
	}
	_, err := p.out.Write(picture)
	return err
}

// reportWithin is how long a terminal may take to say where its cursor is.
const reportWithin = 200 * time.Millisecond

// reflown is the same, asked of the terminal where it matters: it may have drawn
// the last picture after it was made narrower, and xterm cuts lines instead of
// breaking them. In both cases the cursor stands in the last column, on its row.
func (p *painter) reflown(columns int) int {
	rows := p.drawnAt.reflown(columns)
	if rows == 0 {
		return 0
	}
	select {
	case <-p.reports: // to an earlier question
	default:
	}
	if _, err := io.WriteString(p.out, askCursor); err != nil {
		return rows
	}
	select {
	case column := <-p.reports:
		if column >= columns-1 {
			return 0
		}
	case <-time.After(reportWithin):
	}
	return rows
}

// report takes the column in which the terminal says that its cursor is.
func (p *painter) report(column int) {
	select {
	case p.reports <- column:
	default:
	}
}

// up is the cursor so many rows further up.
func up(rows int) string {
	if rows == 0 {
		return ""
	}
	return "\x1b[" + strconv.Itoa(rows) + "A"
}

// picture is what brings the screen up to date; nothing if it is.
func (p *painter) picture(f frame, columns, reflown int) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away {
		return nil
	}
	if f != p.frame || columns != p.columns {
		p.frame, p.columns, p.fresh = f, columns, true
	}
	p.buf = append(p.buf[:0], sync2026...)
	p.buf = append(p.buf, up(reflown)+eraseBelow...)
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
	p.buf = append(p.buf, up(rows)+wrapOff...)
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
		columns, _ := p.out.size()
		_, _ = io.WriteString(p.out, up(p.drawnAt.reflown(columns))+eraseBelow+wrapOn+pasteOff)
	}
}

// finish draws what is left to draw, once there is no frame any more.
func (p *painter) finish() {
	p.terminal.Lock()
	defer p.terminal.Unlock()
	for {
		left := p.left()
		if len(left) == 0 {
			return
		}
		if _, err := p.out.Write(left); err != nil {
			return
		}
	}
}

// left is a part of what finish has to draw.
func (p *painter) left() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused = false
	p.columns, _ = p.out.size()
	p.buf = p.buf[:0]
	p.appendNew()
	return p.buf
}
