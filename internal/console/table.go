package console

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"hubbub.example/internal/quantity"
)

// Client is a row of /who and /slow, and a candidate for completion.
type Client struct {
	ID             uint64
	Name           string
	Addr, Protocol string
	Since          time.Time
	Lag            int64 // bytes
	Muted          bool
}

// table is /who or /slow while it is open. It is refreshed every second.
type table struct {
	slow  bool   // only list slow clients, furthest behind first
	text  string // only clients with it in name, address, protocol, ID or "muted"; "" for all
	rows  []Client
	total int
	known bool // the clients have been answered
	top   int  // the first row shown
}

// fill takes the answer of Options.Clients.
func (t *table) fill(clients []Client) {
	t.total, t.known = len(clients), true
	t.rows = slices.DeleteFunc(clients, func(c Client) bool { return !t.has(c) })
	slices.SortFunc(t.rows, func(a, b Client) int {
		if by := cmp.Compare(b.Lag, a.Lag); t.slow && by != 0 {
			return by
		}
		return cmp.Compare(a.ID, b.ID)
	})
}

func (t *table) has(c Client) bool {
	if t.slow && c.Lag <= 0 {
		return false
	}
	text := strings.ToLower(c.Name + "\x00" + c.Addr + "\x00" + c.Protocol + "\x00" + strconv.FormatUint(c.ID, 10) + "\x00" + muted(c.Muted))
	return strings.Contains(text, strings.ToLower(t.text))
}

// scroll moves by so many rows, within the table.
func (t *table) scroll(by, rows int) {
	t.top = max(0, min(t.top+by, len(t.rows)-rows))
}

// column is a column of the table.
type column struct {
	name  string
	most  int  // cells
	right bool // numbers
	of    func(Client) string
}

// columns are in display order; spare is the order in which they are dropped on a
// narrow terminal. The last one is shown only if a client is muted.
func (s *style) columns(now time.Time) []column {
	return []column{
		{"id", 20, true, func(c Client) string { return strconv.FormatUint(c.ID, 10) }},
		{"name", longestName, false, func(c Client) string { return s.shown(c.Name) }},
		{"address", 47, false, func(c Client) string { return s.shown(c.Addr) }},
		{"protocol", 12, false, func(c Client) string { return s.shown(c.Protocol) }},
		{"since", 12, false, func(c Client) string { return since(c.Since, now) }},
		{"lag", 9, true, func(c Client) string { return quantity.Bytes(c.Lag) }},
		{"", 5, false, func(c Client) string { return muted(c.Muted) }},
	}
}

func muted(is bool) string {
	if is {
		return "muted"
	}
	return ""
}

var spare = []string{"protocol", "since", "address", "name"}

const shortestName = 6 // cells

// since returns a time of day, with the date if it is older than a day.
func since(at, now time.Time) string {
	if now.Sub(at) < 24*time.Hour {
		return at.Format(time.TimeOnly)
	}
	return at.Format("Jan _2 15:04")
}

// view returns the table on at most so many rows.
func (s *style) view(t *table, width, rows int, now time.Time) []string {
	if !t.known {
		return []string{s.tint(dim, "…")}
	}
	if len(t.rows) == 0 {
		return []string{s.tint(dim, shorten(t.nobody(), width))}
	}
	foot := rows >= 4
	room := rows - 1
	if foot {
		room--
	}
	t.scroll(0, room)
	page := t.rows[t.top:min(len(t.rows), t.top+room)]
	lines := s.rows(page, width, now)
	if foot {
		lines = append(lines, s.tint(dim, shorten(t.foot(len(page)), width)))
	}
	return lines
}

func (t *table) nobody() string {
	switch {
	case t.text != "":
		return fmt.Sprintf("no match among %s (Esc closes)", several(uint64(t.total), "client"))
	case t.slow && t.total > 0:
		return "no slow clients (Esc closes)"
	}
	return "no clients (Esc closes)"
}

func (t *table) foot(shown int) string {
	all := quantity.Grouped(len(t.rows))
	if shown == len(t.rows) {
		return several(uint64(shown), "client") + " (Esc closes)"
	}
	return fmt.Sprintf("%d-%d of %s (PgUp and PgDn scroll, Esc closes)", t.top+1, t.top+shown, all)
}

// rows are the heading and one line per client.
func (s *style) rows(page []Client, width int, now time.Time) []string {
	columns := s.columns(now)
	cells := make([][]string, len(columns))
	wide := make([]int, len(columns))
	for i, c := range columns {
		wide[i] = len(c.name)
		for _, client := range page {
			text := c.of(client)
			cells[i] = append(cells[i], text)
			wide[i] = min(c.most, max(wide[i], cellsOf(text)))
		}
	}
	for _, name := range spare {
		over := total(wide) - width
		if over <= 0 {
			break
		}
		i := slices.IndexFunc(columns, func(c column) bool { return c.name == name })
		if left := wide[i] - over; name == "name" && left >= shortestName {
			wide[i] = left // a name is of use when it is cut, too
		} else {
			wide[i] = 0
		}
	}
	lines := make([]string, 0, len(page)+1)
	heading := s.row(columns, wide, func(i int) string { return columns[i].name })
	lines = append(lines, s.tint(reverse, heading))
	for n := range page {
		lines = append(lines, s.row(columns, wide, func(i int) string { return cells[i][n] }))
	}
	return lines
}

// total returns the width of a row, with a blank between columns.
func total(wide []int) int {
	n := 0
	for _, w := range wide {
		if w > 0 {
			n += w + 1
		}
	}
	return n - 1
}

func (s *style) row(columns []column, wide []int, text func(i int) string) string {
	var b strings.Builder
	for i, c := range columns {
		if wide[i] == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		cell := fit(text(i), wide[i])
		if c.right {
			trimmed := strings.TrimRight(cell, " ")
			cell = strings.Repeat(" ", len(cell)-len(trimmed)) + trimmed
		}
		b.WriteString(cell)
	}
	return b.String()
}
