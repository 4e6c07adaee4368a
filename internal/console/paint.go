package console

import (
	"io"
	"strconv"
	"sync"
	"time"
)

// This file alone writes to the terminal, on one goroutine. The screen:
//
//	… messages, which the terminal scrolls and keeps, like any output
//	> the line being typed      ┐
//	  a panel, when one is open │ the frame
//	  status                    ┘
//
// Between pictures the cursor is on the frame's first row. A picture returns to
// the left, erases what is below, writes the new messages, which may wrap and
// scroll, and then the frame. So it does not matter how the terminal counts the
// cells of a message. The lines of the frame may not wrap, and the terminal itself
// saves the cursor's place, so the frame survives characters of disputed width.
//
// One thing moves the cursor off that row: a terminal that is made narrower may
// break the line being typed. See reflown.
//
// A terminal that does not take what is written blocks this goroutine only.

// frame is what is drawn below the messages. Its parts are safe for a terminal.
type frame struct {
	before, after string // the line being typed, around the cursor
	column        int    // of the cursor, if the terminal measures as we do
	below         string // the rows below it, "\n" between them
}

// How much a picture draws, and how often: up to 7,680 messages a second. Faster
// messages are counted, not drawn.
const (
	interval    = time.Second / 30
	fullPicture = 256      // messages
	fullBytes   = 64 << 10 // of their text
)

// Modes of the terminal (all are in xterm's ctlseqs.txt). A terminal that knows
// sync and synced shows what is between them at once.
const (
	sync2026, synced2026 = "\x1b[?2026h", "\x1b[?2026l"
	wrapOff, wrapOn      = "\x1b[?7l", "\x1b[?7h"
	pasteOn, pasteOff    = "\x1b[?2004h", "\x1b[?2004l"
	saveCursor           = "\x1b7"
	restoreCursor        = "\x1b8"
	eraseBelow           = "\r\x1b[C\x1b[J\r\x1b[K" // in two steps: in the top left corner, tmux would keep the erased screen in its history
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

// view is what the operator chose to see.
type view struct {
	paused bool   // messages wait
	times  bool   // show the time of each message
	filter filter // of messages
	hidden uint64 // messages, since the filter was set
}

// painter draws.
type painter struct {
	style
	notices  *scrollback // the log, and what commands answered
	messages *scrollback
	wake     chan struct{}

	reports chan int // the cursor's column, as the terminal says when asked

	terminal sync.Mutex // held while writing, which may block
	out      screen

	mu    sync.Mutex // never held while anything is written
	frame frame
	view
	fresh   bool   // the frame is not on the screen yet
	away    bool   // the terminal is the shell's for now
	clear   bool   // clear the screen first
	columns int    // of the terminal
	undrawn uint64 // messages, in total

	// Used by whoever holds terminal.
	drawnAt spot // where the last picture left the cursor
	buf     []byte
	batch   [2][]entry
}

// spot is the cursor's column in the frame's first row, and the terminal's width.
type spot struct{ column, columns int }

// reflown returns how many rows the cursor has moved down if the terminal was made
// narrower and broke the line being typed.
func (s spot) reflown(columns int) int {
	if columns <= 0 || columns >= s.columns {
		return 0
	}
	return s.column / columns
}

// nudge makes the painter check whether there is something to draw.
func (p *painter) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// change changes what is drawn, and draws.
func (p *painter) change(how func()) {
	p.mu.Lock()
	how()
	p.fresh = true
	p.mu.Unlock()
	p.nudge()
}

// counts is the painter's part of the status line.
type counts struct {
	undrawn, hidden, held uint64
	paused                bool
}

func (p *painter) counts() counts {
	held, lapped := p.messages.waiting()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.paused {
		held = 0
	}
	return counts{p.undrawn + lapped, p.hidden, held, p.paused}
}

// run draws until stop is closed, at most once per interval.
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

// draw draws what is new, for the terminal's size at this moment: the signal for
// a change may come later than the change.
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

// reflown returns the same, but asks the terminal for the cursor's column: it may have
// drawn the last picture after it was made narrower, and xterm cuts lines instead
// of breaking them. In both cases the cursor is in the last column, on its row.
func (p *painter) reflown(columns int) int {
	rows := p.drawnAt.reflown(columns)
	if rows == 0 {
		return 0
	}
	select {
	case <-p.reports: // an answer that came too late
	default:
	}
	if _, err := io.WriteString(p.out, askCursor); err != nil {
		return rows
	}
	select {
	case column := <-p.reports:
		if column >= columns-1 && p.drawnAt.column%columns != columns-1 { // otherwise both look alike
			return 0
		}
	case <-time.After(reportWithin):
	}
	return rows
}

// report takes the terminal's answer: the cursor's column.
func (p *painter) report(column int) {
	select {
	case p.reports <- column:
	default:
	}
}

// up moves the cursor up by so many rows.
func up(rows int) string {
	if rows == 0 {
		return ""
	}
	return "\x1b[" + strconv.Itoa(rows) + "A"
}

// picture returns what brings the screen up to date; empty if it is.
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

// appendNew appends the entries that came since the last picture.
func (p *painter) appendNew() {
	notices := p.notices.take(p.batch[0][:0], fullPicture, fullBytes, filter{})
	messages := taken{entries: p.batch[1][:0]}
	if !p.paused {
		messages = p.messages.take(messages.entries, fullPicture, fullBytes, p.filter)
	}
	p.undrawn += notices.lapped + messages.lapped
	p.hidden += messages.hidden
	for _, t := range []taken{notices, messages} {
		if t.lapped > 0 {
			p.buf = p.style.undrawn(p.buf, t.lapped, p.columns)
		}
	}
	p.appendInOrder(notices.entries, messages.entries)
	clear(notices.entries) // free the texts
	clear(messages.entries)
	p.batch = [2][]entry{notices.entries, messages.entries}
	if notices.more || messages.more {
		p.nudge()
	}
}

// appendInOrder merges the entries of both in the order in which they came.
func (p *painter) appendInOrder(a, b []entry) {
	for len(a)+len(b) > 0 {
		if len(b) == 0 || len(a) > 0 && a[0].came < b[0].came {
			a, b = b, a
		}
		p.buf = p.append(p.buf, &b[0], p.times, p.columns)
		b = b[1:]
	}
}

// appendFrame appends the frame. It makes room for all rows first, so that nothing
// scrolls after the cursor is saved.
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

// enter takes the terminal, on which others may have drawn.
func (p *painter) enter() error {
	p.terminal.Lock()
	defer p.terminal.Unlock()
	p.change(func() { p.away, p.drawnAt = false, spot{} })
	_, err := io.WriteString(p.out, pasteOn)
	return err
}

// leave erases the frame and gives the terminal back.
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

// finish draws all remaining entries, without a frame.
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

// left returns the next part of what finish draws.
func (p *painter) left() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused = false
	p.columns, _ = p.out.size()
	p.buf = p.buf[:0]
	p.appendNew()
	return p.buf
}
