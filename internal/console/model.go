package console

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	uv "github.com/charmbracelet/ultraviolet"

	"hubbub.example/internal/quantity"
)

// This file is what a key does. Nothing here blocks: what may block is a
// question, which Console answers on another goroutine; the answer comes back as
// an event.

type model struct {
	mu sync.Mutex // held by update and layout

	Options
	*style
	paint *painter
	queue *queue // lines, and commands that keep their order
	now   func() time.Time

	errands *queue // commands that overtake lines

	suspend func() // stops the job, on systems that have jobs
	done    bool   // the console ends
	actions actions

	width, height int
	line          line
	history       history
	rates         rates
	asked         bool // Status was answered
	filter        filter
	ended         bool      // input has ended
	dropped       time.Time // when ^C last cleared something

	panels
}

// panels are what opens below the line; the first that is open is shown.
type panels struct {
	paste   []string // pasted lines, until Enter or Esc
	into    line     // the line before the paste, for Esc
	choices []choice
	table   *table
}

// question is something the model asks, after some time. The answer is an event.
type question struct {
	in     time.Duration
	answer func() uv.Event
}

// statusEvent is the answer of Options.Status.
type statusEvent struct {
	at     time.Time
	status Status
}

// refresh is how often the status line and tables are updated.
const refresh = time.Second

func (m *model) askStatus(in time.Duration) *question {
	if m.Status == nil {
		return nil
	}
	return &question{in, func() uv.Event { return statusEvent{time.Now(), m.Status()} }}
}

func (m *model) askClients(t *table, in time.Duration) *question {
	return &question{in, func() uv.Event { return clientsEvent{clients: m.Clients(), table: t} }}
}

// update handles an event.
func (m *model) update(e uv.Event) *question {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch e := e.(type) {
	case uv.KeyPressEvent:
		return m.key(e)
	case uv.PasteEvent:
		m.pasteText(e.Content)
	case uv.CursorPositionEvent:
		m.paint.report(e.X)
	case statusEvent:
		m.rates.next(e.at, e.status)
		m.asked = true
		return m.askStatus(refresh)
	case clientsEvent:
		switch e.table {
		case nil:
			m.offerClients(e)
		case m.table: // not one that was closed
			m.table.fill(e.clients)
			return m.askClients(m.table, refresh)
		}
	}
	return nil
}

// layout returns the frame for a terminal of that size.
func (m *model) layout(width, height int) frame {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.width, m.height = width, height
	return m.frame()
}

// frame returns what is drawn below the messages. On a terminal of three rows or more
// it leaves one for them.
func (m *model) frame() frame {
	room := m.width - 1 - cellsOf(prompt)
	before, after := m.line.view(m.shown, room)
	f := frame{
		before: m.tint(dim, prompt) + before,
		after:  after,
		column: cellsOf(prompt) + cellsOf(before),
	}
	var below []string
	status := m.statusLine()
	rows := m.height - 1
	if m.height >= 3 {
		rows--
	}
	if status != "" && rows > 0 {
		rows--
	} else {
		status = ""
	}
	if rows > 0 {
		below = m.panel(min(rows, max(4, m.height/2)))
	}
	if status != "" {
		below = append(below, status)
	}
	f.below = strings.Join(below, "\n")
	return f
}

func (m *model) panel(rows int) []string {
	switch {
	case m.paste != nil:
		return m.pasteView(m.paste, m.width, rows)
	case m.choices != nil:
		return m.choicesView(m.choices, m.width, rows)
	case m.table != nil:
		return m.view(m.table, m.width-1, rows, m.now())
	}
	return nil
}

// edits are the keys that only edit the line.
var edits = map[string]func(*line){
	"left": (*line).left, "ctrl+b": (*line).left,
	"right": (*line).right, "ctrl+f": (*line).right,
	"home": (*line).home, "ctrl+a": (*line).home,
	"end": (*line).end, "ctrl+e": (*line).end,
	"ctrl+left": (*line).wordLeft, "alt+left": (*line).wordLeft, "alt+b": (*line).wordLeft,
	"ctrl+right": (*line).wordRight, "alt+right": (*line).wordRight, "alt+f": (*line).wordRight,
	"backspace": (*line).backspace, "ctrl+h": (*line).backspace,
	"delete":        (*line).delete,
	"alt+d":         (*line).cutWordRight,
	"ctrl+w":        (*line).cutArgumentLeft,
	"ctrl+u":        (*line).cutToStart,
	"ctrl+k":        (*line).cutToEnd,
	"ctrl+y":        (*line).yank,
	"alt+backspace": (*line).cutWordLeft,
}

// key handles a key.
func (m *model) key(k uv.KeyPressEvent) *question {
	name := k.String()
	if name != "tab" {
		m.choices = nil
	}
	if name != "ctrl+c" {
		m.dropped = time.Time{}
	}
	if edit := edits[name]; edit != nil {
		edit(&m.line)
		m.history.leave()
		return nil
	}
	switch name {
	case "enter", "ctrl+j", "kpenter":
		return m.enter()
	case "tab", "ctrl+i":
		return m.complete()
	case "up", "ctrl+p":
		m.recallLine(m.history.up)
	case "down", "ctrl+n":
		m.recallLine(m.history.down)
	case "pgup":
		m.page(-1)
	case "pgdown":
		m.page(1)
	case "esc":
		m.escape()
	case "ctrl+c":
		return m.interrupt()
	case "ctrl+d":
		return m.endOfInput()
	case "ctrl+l":
		return m.clear("")
	case "ctrl+s":
		m.paint.change(func() { m.paint.paused = true })
	case "ctrl+q":
		m.paint.change(func() { m.paint.paused = false })
	case "ctrl+z":
		m.suspend()
	default:
		if k.Text != "" {
			m.line.insert(k.Text)
			m.history.leave()
		}
	}
	return nil
}

func (m *model) recallLine(step func(now string) (string, bool)) {
	if text, ok := step(m.line.text); ok {
		m.line.set(text)
	}
}

func (m *model) page(by int) {
	if m.table != nil {
		m.table.scroll(by*max(1, min(m.height-3, max(4, m.height/2))-2), 1)
	}
}

// escape closes the panel.
func (m *model) escape() {
	if m.paste == nil {
		m.table = nil
		return
	}
	m.paste = nil
	if m.line.text == "" {
		m.line = m.into
	}
}

// bounce is how long after a ^C that cleared something another one does not quit.
const bounce = 500 * time.Millisecond

// interrupt is ^C. As in a shell it clears the line; when there is nothing to
// clear it ends the program, as it ends any server in a terminal.
func (m *model) interrupt() *question {
	switch {
	case m.paste != nil, m.line.text != "":
		m.paste = nil
		m.line.set("")
		m.history.leave()
		m.dropped = m.now()
	case m.table != nil:
		m.table = nil
		m.dropped = m.now()
	case m.now().Sub(m.dropped) >= bounce:
		m.done = true
	}
	return nil
}

// endOfInput is ^D: on an empty line it ends STDIN, as in a terminal's line
// discipline; otherwise it deletes a character.
func (m *model) endOfInput() *question {
	switch {
	case m.line.text != "":
		m.line.delete()
	case m.EOF == nil:
		m.done = true
	case !m.ended:
		m.ended = true
		m.queue.push(job{0, func(context.Context) { m.EOF() }})
	}
	return nil
}

// enter sends the line or the paste, or runs the command on the line.
func (m *model) enter() *question {
	if m.paste != nil {
		m.sendPaste()
		return nil
	}
	line := m.line.text
	if line == "" {
		return nil
	}
	text, isCommand := m.meant(line)
	if !isCommand && !m.send(text) {
		return nil // the line stays
	}
	m.history.add(line)
	m.line.set("")
	if isCommand {
		m.notice(typed, line)
		return m.command(text)
	}
	return nil
}

// send queues lines and shows them: all or none.
func (m *model) send(lines ...string) bool {
	switch {
	case m.Send == nil:
		m.refuse("this console cannot send messages; /help lists what it can do")
		return false
	case m.ended:
		m.refuse("input has ended: no more messages can be sent; /quit quits")
		return true // the line is cleared, to make room for /quit
	}
	jobs := make([]job, len(lines))
	for i, l := range lines {
		jobs[i] = job{len(l) + 1, func(ctx context.Context) {
			if err := m.Send(ctx, l); err != nil && ctx.Err() == nil {
				m.refuse(fmt.Sprintf("not sent: %v: %s", err, l))
			}
		}}
	}
	if !m.queue.push(jobs...) {
		m.refuse(fmt.Sprintf("not sent: more than %s would be waiting", quantity.Bytes(unsent)))
		return false
	}
	const echoed = 10
	for i, l := range lines {
		if i == echoed-1 && len(lines) > echoed {
			m.echo("… " + quantity.Grouped(len(lines)-i) + " more lines")
			break
		}
		m.echo(l)
	}
	m.paint.nudge()
	return true
}

// echo shows a sent line as others see it.
func (m *model) echo(line string) {
	head, more := clip([]byte(line), longest)
	m.paint.notices.add(entry{kind: typed, at: m.now(), name: m.As, text: head, more: more})
}

// pasteText handles a paste. Several lines wait for Enter: a paste by mistake would
// go to all clients and could not be undone. They are messages, never commands: the
// text may be somebody else's. In a command the lines are joined.
func (m *model) pasteText(content string) {
	m.choices = nil
	lines := pasted(content)
	text := m.line.text
	switch {
	case m.paste != nil:
		m.paste = append(m.paste, lines...)
	case len(lines) == 1:
		m.line.insert(lines[0])
	case len(lines) == 2 && lines[1] == "" && m.line.after() == "":
		m.line.insert(lines[0]) // a line copied with its newline
	case strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "//"):
		m.line.insert(strings.Join(lines, " "))
	default:
		lines[0] = m.line.before() + lines[0]
		lines[len(lines)-1] += m.line.after()
		if lines[len(lines)-1] == "" {
			lines = lines[:len(lines)-1]
		}
		m.paste, m.into = lines, m.line
		m.line.set("")
	}
	m.history.leave()
}

func (m *model) sendPaste() {
	if m.send(m.paste...) {
		m.paste = nil
	}
}

// pasteView asks what to do with pasted lines.
func (s *style) pasteView(paste []string, width, rows int) []string {
	size := 0
	for _, l := range paste {
		size += len(l) + 1
	}
	ask := fmt.Sprintf("%s pasted, %s: Enter sends each as a message, Esc discards them", several(uint64(len(paste)), "line"), quantity.Bytes(size))
	if cellsOf(ask) >= width {
		ask = fmt.Sprintf("%s: Enter sends, Esc discards", several(uint64(len(paste)), "line"))
	}
	lines := []string{s.tint(reverse, shorten(ask, width-1))}
	for i, l := range paste {
		if len(lines) == rows {
			break
		}
		if len(lines) == rows-1 && i < len(paste)-1 {
			l = "… " + quantity.Grouped(len(paste)-i) + " more"
		} else {
			l = s.shown(l)
		}
		lines = append(lines, s.tint(dim, shorten(l, width-1)))
	}
	return lines
}

// notice shows a line of the console's own, ahead of waiting messages.
func (m *model) notice(k kind, text string) {
	for line := range strings.SplitSeq(text, "\n") {
		head, more := clip([]byte(line), longest)
		m.paint.notices.add(entry{kind: k, at: m.now(), text: head, more: more})
	}
	m.paint.nudge()
}

func (m *model) refuse(text string) { m.notice(failure, text) }
