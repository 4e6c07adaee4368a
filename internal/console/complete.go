package console

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	uv "github.com/charmbracelet/ultraviolet"

	"hubbub.example/internal/quantity"
)

// This file is Tab: it completes the word before the cursor up to where the
// candidates differ, then lists them.

// choice is a candidate for the word before the cursor.
type choice struct{ word, note string }

// clientsEvent is the answer of Options.Clients.
type clientsEvent struct {
	clients []Client
	table   *table // the table that asked
	forLine string // or the text before the cursor when Tab was pressed
}

// complete answers Tab.
func (m *model) complete() *question {
	before := m.line.before()
	name, isCommand := strings.CutPrefix(before, "/")
	name, rest, hasBlank := strings.Cut(name, " ")
	switch {
	case !isCommand:
	case !hasBlank:
		m.offer(name, m.actions.complete(name))
	case m.actions.takeClient(name) && !strings.Contains(strings.TrimLeft(rest, " "), " ") && m.Clients != nil:
		return &question{answer: func() uv.Event { return clientsEvent{clients: m.Clients(), forLine: before} }}
	}
	return nil
}

// complete returns the commands that begin with start.
func (list actions) complete(start string) []choice {
	var found []choice
	for _, a := range list {
		if strings.HasPrefix(a.Name, start) {
			found = append(found, choice{a.Name, a.Usage})
		}
	}
	return found
}

func (list actions) takeClient(name string) bool {
	a := list.find(name)
	return a != nil && a.Client
}

// offerClients completes a client once the clients are known, unless the line has
// changed meanwhile.
func (m *model) offerClients(msg clientsEvent) {
	if m.line.before() != msg.forLine {
		return
	}
	start := msg.forLine[strings.LastIndexByte(msg.forLine, ' ')+1:]
	called := map[string]int{} // how many clients have the name
	for _, c := range msg.clients {
		called[c.Name]++
	}
	var found []choice
	for _, c := range msg.clients {
		id := strconv.FormatUint(c.ID, 10)
		begins := strings.HasPrefix(strings.ToLower(c.Name), strings.ToLower(start))
		switch {
		case begins && start != "" && called[c.Name] == 1 && isWord(c.Name):
			found = append(found, choice{c.Name, id})
		case begins || strings.HasPrefix(id, start):
			found = append(found, choice{id, c.Name})
		}
	}
	slices.SortFunc(found, func(a, b choice) int { return byLength(a.word, b.word) })
	m.offer(start, found)
}

// byLength sorts numbers by value.
func byLength(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// offer completes the word start, or lists the candidates.
func (m *model) offer(start string, found []choice) {
	switch common := commonStart(found); {
	case len(found) == 0:
	case len(found) == 1:
		m.line.replace(len(start), found[0].word+" ")
	case len(common) > len(start) && strings.HasPrefix(common, start):
		m.line.replace(len(start), common)
	default:
		m.choices = found
	}
}

func commonStart(found []choice) string {
	if len(found) == 0 {
		return ""
	}
	common := found[0].word
	for _, c := range found[1:] {
		for !strings.HasPrefix(c.word, common) {
			common = common[:len(common)-1]
		}
	}
	return common
}

// choicesView lists the candidates on at most so many rows.
func (s *style) choicesView(choices []choice, width, rows int) []string {
	var lines []string
	for i, c := range choices {
		if len(lines) == rows-1 && i < len(choices)-1 {
			return append(lines, s.tint(dim, "… "+quantity.Grouped(len(choices)-i)+" more"))
		}
		text := shorten(c.word+"  "+s.shown(c.note), width-1)
		lines = append(lines, text)
	}
	return lines
}
