//go:build unix

package console

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/creack/pty"

	"hubbub.example/internal/scene"
)

// A terminal whose size changes between pictures shows one prompt and every
// message, also when nobody is told of the change in time, and whether it breaks
// lines that are too long or cuts them. A change while a picture is on its way
// may leave a part of the line being typed behind, but never erases a message.
func TestResizingUnderLoadErasesNothing(t *testing.T) {
	t.Parallel()
	for _, cuts := range []bool{false, true} {
		for _, during := range []bool{false, true} {
			t.Run(fmt.Sprintf("cuts=%v,during=%v", cuts, during), func(t *testing.T) {
				t.Parallel()
				resizing(t, cuts, during)
			})
		}
	}
}

func resizing(t *testing.T, cuts, during bool) {
	ours, theirs, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	defer theirs.Close()
	g := &grid{pty: ours, cuts: cuts, chunk: 4096}
	g.resize(100, 24)
	t.Cleanup(func() {
		if t.Failed() {
			g.mu.Lock()
			defer g.mu.Unlock()
			t.Logf("the terminal has\n%s", g)
		}
	})
	c := New(Options{In: theirs, Out: theirs})
	c.model.line.set(strings.Repeat("z", 90))
	go g.read()
	done := make(chan error, 1)
	ctx, end := context.WithCancel(t.Context())
	go func() { done <- c.Run(ctx) }()

	random := rand.New(rand.NewPCG(1, 2))
	said := 0
	show := func(n int) {
		for range n {
			said++
			c.Show(Message{Text: fmt.Appendf(nil, "message %04d", said)})
		}
	}
	show(1)
	g.until(t, said)
	for i, width := range []int{40, 31, 100, 45, 90, 20, 100, 60, 59, 25, 30, 99, 33, 100, 22} {
		if during {
			g.resizeAmid(width, 10+random.IntN(20), 1+random.IntN(300))
			show(1 + random.IntN(50))
		} else {
			g.resize(width, 10+i)
			show(1 + i)
			g.until(t, said)
		}
	}
	show(1)
	g.until(t, said)
	g.check(t, said, during)
	end()
	<-done
}

// grid is a terminal: rows, the ones that have scrolled away included.
type grid struct {
	pty   *os.File
	cuts  bool // lines that are too long; otherwise it breaks them
	chunk int  // bytes read at a time

	mu            sync.Mutex
	width, height int
	rows          []gridRow
	top           int // the first row on the screen
	x, y          int
	savedX        int
	savedY        int // from the top
	nowrap        bool
	pending       []byte // of a sequence
	whole         bool   // a picture has come to its end
	amid          func() // called after some bytes
	after         int    // so many
}

type gridRow struct {
	text    []rune
	wrapped bool // goes on in the next row
}

// read shows what comes.
func (g *grid) read() {
	b := make([]byte, g.chunk)
	for {
		n, err := g.pty.Read(b)
		if err != nil {
			return
		}
		g.mu.Lock()
		for _, c := range b[:n] {
			if g.after--; g.amid != nil && g.after <= 0 {
				g.amid()
				g.amid = nil
			}
			g.take(c)
		}
		g.mu.Unlock()
	}
}

// resizeAmid resizes after so many bytes more.
func (g *grid) resizeAmid(width, height, bytes int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.after, g.amid = bytes, func() { g.reflow(width, height) }
}

func (g *grid) resize(width, height int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reflow(width, height)
}

// reflow gives the grid another size.
func (g *grid) reflow(width, height int) {
	var rows []gridRow
	y, x := 0, min(g.x, width-1)
	for i := 0; i < len(g.rows); i++ {
		first, text, cursor := i, g.rows[i].text, -1
		for !g.cuts && g.rows[i].wrapped && i+1 < len(g.rows) {
			i++
			text = append(append([]rune{}, text...), g.rows[i].text...)
		}
		if g.y >= first && g.y <= i {
			for _, r := range g.rows[first:g.y] {
				cursor += len(r.text)
			}
			cursor += 1 + g.x
			y = len(rows)
		}
		if g.cuts {
			rows = append(rows, gridRow{text[:min(len(text), width)], false})
			continue
		}
		for len(text) > width {
			rows = append(rows, gridRow{text[:width:width], true})
			text = text[width:]
		}
		rows = append(rows, gridRow{text, false})
		if cursor >= 0 {
			down := min(cursor/width, len(rows)-1-y)
			y, x = y+down, min(cursor-down*width, width-1)
		}
	}
	g.rows, g.x, g.y, g.width, g.height = rows, x, y, width, height
	g.top = min(max(0, len(rows)-height), y)
	g.rows = g.rows[:min(len(rows), g.top+height)]
	_ = pty.Setsize(g.pty, &pty.Winsize{Cols: uint16(width), Rows: uint16(height)})
}

// take takes a byte.
func (g *grid) take(c byte) {
	for g.y >= len(g.rows) {
		g.rows = append(g.rows, gridRow{})
	}
	g.pending = append(g.pending, c)
	switch p := string(g.pending); {
	case p[0] != '\x1b' && !utf8.FullRuneInString(p):
		return
	case p == "\x1b" || p == "\x1b[" || len(p) > 2 && p[1] == '[' && (c < '@' || c > '~'):
		return
	case p[0] == '\x1b':
		g.obey(p)
	case p == "\r":
		g.x = 0
	case p == "\n":
		g.down()
	default:
		g.print([]rune(p)[0])
	}
	g.pending = g.pending[:0]
}

func (g *grid) down() {
	if g.y++; g.y == len(g.rows) {
		g.rows = append(g.rows, gridRow{})
	}
	g.top = max(g.top, g.y-g.height+1)
}

func (g *grid) print(r rune) {
	if g.x >= g.width {
		if g.x = g.width - 1; !g.nowrap {
			g.rows[g.y].wrapped = true
			g.down()
			g.x = 0
		}
	}
	row := &g.rows[g.y]
	for len(row.text) <= g.x {
		row.text = append(row.text, ' ')
	}
	row.text[g.x] = r
	g.x++
}

// obey does what a sequence says.
func (g *grid) obey(p string) {
	row := &g.rows[g.y]
	switch p {
	case saveCursor:
		g.savedX, g.savedY = g.x, g.y-g.top
	case restoreCursor:
		g.x, g.y = min(g.savedX, g.width-1), min(g.top+g.savedY, len(g.rows)-1)
	case wrapOff, wrapOn:
		g.nowrap = p == wrapOff
	case sync2026, synced2026:
		g.whole = p == synced2026
	case "\x1b[C":
		g.x = min(g.x+1, g.width-1)
	case "\x1b[J", "\x1b[K":
		row.text, row.wrapped = row.text[:min(g.x, len(row.text))], false
		if p == "\x1b[J" {
			g.rows = g.rows[:g.y+1]
		}
	case askCursor:
		fmt.Fprintf(g.pty, "\x1b[%d;%dR", g.y-g.top+1, min(g.x, g.width-1)+1)
	default:
		if n, err := strconv.Atoi(strings.TrimSuffix(p[2:], "A")); err == nil {
			g.y = max(g.top, g.y-n)
		}
	}
}

func (g *grid) String() string {
	var b bytes.Buffer
	for i, r := range g.rows {
		if b.WriteString(string(r.text)); !r.wrapped || i == len(g.rows)-1 {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// until waits until a message is there, and the picture that shows it is whole.
func (g *grid) until(t *testing.T, message int) {
	t.Helper()
	want := fmt.Sprintf("message %04d", message)
	scene.Until(t, want+" is shown", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.whole && strings.Contains(g.String(), want)
	})
}

func (g *grid) check(t *testing.T, messages int, during bool) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	text := g.String()
	for i := 1; i <= messages; i++ {
		if n := strings.Count(text, fmt.Sprintf("message %04d", i)); n != 1 {
			t.Errorf("message %d is there %d times", i, n)
		}
	}
	prompts := strings.Count(text, "> ")
	typed := 0
	for _, r := range g.rows {
		if strings.Contains(string(r.text), "z") {
			typed++
		}
	}
	last := string(g.rows[len(g.rows)-1].text)
	if !strings.HasPrefix(last, "> ") || !during && (prompts != 1 || typed != 1) {
		t.Errorf("%d prompts, and %d rows of the line being typed; the last row is %q", prompts, typed, last)
	}
}
