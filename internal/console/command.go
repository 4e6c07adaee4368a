package console

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// This file is what begins with a slash: Command, those that each console has,
// and, for whoever has clients to deal with, To, Kick, Mute and Unmute.

// Command is something to type: a slash, Name, a blank, and what Run gets.
type Command struct {
	Name  string // without the slash
	Usage string // what stands behind it: "ID [reason]"
	Help  string // what it does, in a few words

	// Client says that its first argument is a client: an id, which Run gets,
	// or a name that nobody else has. Completion offers both.
	Client bool

	// InOrder says that it waits until what was typed before it is sent.
	// Otherwise it overtakes lines that wait for a slow client: whoever
	// wants to kick that one must be able to.
	InOrder bool

	// Run does it, and may take its time, until ctx ends with the console;
	// the next command waits for it. What it returns is shown.
	Run func(ctx context.Context, args string) (string, error)
}

// To is /to: a message to one client, in order with the messages to all.
func To(send func(ctx context.Context, id uint64, text string) error) Command {
	return Command{
		Name: "to", Usage: "WHO text", Help: "say it to one client", Client: true, InOrder: true,
		Run: func(ctx context.Context, args string) (string, error) {
			id, text, err := clientID(args)
			if err == nil && text == "" {
				err = errors.New("what shall it be told? /to WHO text")
			}
			if err != nil {
				return "", err
			}
			return "", send(ctx, id, text)
		},
	}
}

// Kick is /kick: a client's connection is closed, with or without a reason.
func Kick(kick func(ctx context.Context, id uint64, reason string) error) Command {
	return Command{
		Name: "kick", Usage: "WHO [reason]", Help: "close a client's connection", Client: true,
		Run: func(ctx context.Context, args string) (string, error) {
			id, reason, err := clientID(args)
			if err != nil {
				return "", err
			}
			return fmt.Sprintf("kicked %d", id), kick(ctx, id, reason)
		},
	}
}

// Mute is /mute: a client is heard no more. /who says of whom that is so.
func Mute(mute func(ctx context.Context, id uint64) error) Command {
	return ofOne("mute", "hear a client no more", "%d is muted; /unmute %[1]d hears it again", mute)
}

// Unmute is /unmute.
func Unmute(unmute func(ctx context.Context, id uint64) error) Command {
	return ofOne("unmute", "hear it again", "%d is heard", unmute)
}

// ofOne is a command that takes a client, and nothing else.
func ofOne(name, help, done string, do func(ctx context.Context, id uint64) error) Command {
	return Command{
		Name: name, Usage: "WHO", Help: help, Client: true,
		Run: func(ctx context.Context, args string) (string, error) {
			id, rest, err := clientID(args)
			if err == nil && rest != "" {
				err = fmt.Errorf("it takes a client and nothing else: /%s WHO", name)
			}
			if err != nil {
				return "", err
			}
			return fmt.Sprintf(done, id), do(ctx, id)
		},
	}
}

// clientID reads a client's id, and what stands behind it.
func clientID(args string) (id uint64, rest string, err error) {
	word, rest, _ := strings.Cut(args, " ")
	id, isID := parseID(word)
	switch {
	case word == "":
		return 0, "", errors.New("which client? Its ID or name comes first: Tab and /who know it")
	case !isID:
		return 0, "", fmt.Errorf("there is no client called %s: Tab and /who know who is here", word)
	}
	return id, strings.TrimSpace(rest), nil
}

func parseID(word string) (id uint64, is bool) {
	id, err := strconv.ParseUint(strings.TrimPrefix(word, "#"), 10, 64)
	return id, err == nil
}

const mostNamesakes = 20 // that are listed

// isWord reports whether a command can tell a name from an id, and from what
// stands behind it.
func isWord(name string) bool {
	_, isID := parseID(name)
	return !isID && name != "" && !strings.Contains(name, " ")
}

// identify has an id in the place of a name that args begin with. A number is
// an id, whatever clients call themselves.
func identify(args string, clients []Client) (string, error) {
	word, rest, _ := strings.Cut(args, " ")
	if !isWord(word) {
		return args, nil
	}
	var ids []string
	for _, c := range clients {
		if c.Name == word {
			ids = append(ids, strconv.FormatUint(c.ID, 10))
		}
	}
	switch len(ids) {
	case 0:
		return args, nil
	case 1:
		return ids[0] + " " + rest, nil
	}
	slices.SortFunc(ids, byLength)
	some, more := ids, ""
	if len(ids) > mostNamesakes {
		some, more = ids[:mostNamesakes], ", …"
	}
	return "", fmt.Errorf("%s clients are called %s: say which by its ID, %s%s", countOf(uint64(len(ids))), word, strings.Join(some, ", "), more)
}

// builtin is a command of the console's own. It runs as part of Update.
type builtin struct {
	Command
	do func(m *model, args string) *question
}

// builtins are the commands that each console has; with clients, also who and
// slow.
func builtins(clients bool) []builtin {
	list := []builtin{
		{Command{Name: "filter", Usage: "[text|-text|#ID]", Help: "show only messages with the text, without it, or of one client; nothing for all"}, (*model).setFilter},
		{Command{Name: "times", Help: "say the time before each message, or no longer"}, (*model).toggleTimes},
		{Command{Name: "last", Usage: "[N]", Help: "show what was last once more, with times"}, (*model).showLast},
		{Command{Name: "clear", Help: "clear the screen, as ^L"}, (*model).clear},
		{Command{Name: "help", Help: "this"}, (*model).help},
		{Command{Name: "quit", Help: "end, as ^C on an empty line"}, (*model).quit},
	}
	if clients {
		list = slices.Insert(list, 0,
			builtin{Command{Name: "who", Usage: "[text]", Help: "who is here, kept up to date; again, or Esc, to close"}, (*model).who},
			builtin{Command{Name: "slow", Usage: "[text]", Help: "who is behind, furthest first"}, (*model).slow})
	}
	return list
}

// meant is a line as it is meant: a command, without its slash, or text to send.
//
//	//text   is /text, to send
//	/who     is a command
//	/nick    is one too, which there is not; or text, where others have commands
func (m *model) meant(line string) (text string, isCommand bool) {
	text, isCommand = strings.CutPrefix(line, "/")
	switch name, _, _ := strings.Cut(text, " "); {
	case strings.HasPrefix(text, "/"):
		return text, false
	case m.Foreign && !m.has(name):
		return line, false
	}
	return text, isCommand
}

// has reports whether there is a command of that name.
func (m *model) has(name string) bool {
	return slices.ContainsFunc(m.builtins, func(b builtin) bool { return b.Name == name }) ||
		slices.ContainsFunc(m.Commands, func(c Command) bool { return c.Name == name })
}

// command runs what was typed behind a slash.
func (m *model) command(text string) *question {
	name, args, _ := strings.Cut(text, " ")
	args = strings.TrimSpace(args)
	for _, b := range m.builtins {
		if b.Name == name {
			return b.do(m, args)
		}
	}
	for _, c := range m.Commands {
		if c.Name == name {
			m.perform(c, args)
			return nil
		}
	}
	m.refuse(fmt.Sprintf("there is no command /%s: /help says what there is; to send it as it is: //%[1]s", name))
	return nil
}

// perform runs a command of the options', in its place among the lines or at
// once.
func (m *model) perform(c Command, args string) {
	run := func(ctx context.Context) {
		said, err := m.run(ctx, c, args)
		switch {
		case err != nil:
			m.tell(failure, "/"+c.Name+": "+err.Error())
		case said != "":
			m.tell(answer, said)
		}
	}
	q := m.errands
	if c.InOrder {
		q = m.queue
	}
	if !q.push(job{len(args), run}) {
		m.refuse("/" + c.Name + ": not done: too much waits")
	}
}

// run runs c, for whom its arguments name.
func (m *model) run(ctx context.Context, c Command, args string) (said string, err error) {
	if c.Client && m.Clients != nil {
		if args, err = identify(args, m.Clients()); err != nil {
			return "", err
		}
	}
	return c.Run(ctx, args)
}

func (m *model) who(args string) *question  { return m.open(&table{text: args}) }
func (m *model) slow(args string) *question { return m.open(&table{text: args, slow: true}) }

// open opens a table, or closes it if it is the one that is open.
func (m *model) open(t *table) *question {
	if o := m.table; o != nil && o.slow == t.slow && o.text == t.text {
		m.table = nil
		return nil
	}
	m.table = t
	return m.askClients(t, 0)
}

// again is how many messages are shown once more when not said otherwise, and
// at most.
const (
	again     = 20
	mostAgain = 500
)

func (m *model) setFilter(args string) *question {
	f := parseFilter(args)
	m.paint.change(func() { m.paint.filter, m.paint.hidden = f, 0 })
	m.filter = f
	if f.any() {
		m.recall(again)
	} else {
		m.tell(answer, "all messages are shown")
	}
	return nil
}

func (m *model) toggleTimes(string) *question {
	m.paint.change(func() { m.paint.times = !m.paint.times })
	return nil
}

func (m *model) showLast(args string) *question {
	n := again
	if args != "" {
		var err error
		if n, err = strconv.Atoi(args); err != nil || n < 1 {
			m.refuse(fmt.Sprintf("/last %s: it takes how many, at most %d", args, mostAgain))
			return nil
		}
	}
	m.recall(min(n, mostAgain))
	return nil
}

// recall shows messages once more, as the filter wants them.
func (m *model) recall(n int) {
	last := m.paint.said.last(n, m.filter)
	if len(last) == 0 {
		m.tell(answer, "no such message is remembered")
	}
	for _, e := range last {
		e.kind = remembered
		m.paint.told.add(e)
	}
	m.paint.nudge()
}

func (m *model) clear(string) *question {
	m.paint.change(func() { m.paint.clear = true })
	return nil
}

func (m *model) help(string) *question {
	wide, hang := 24, 26
	if m.width < 2*hang {
		wide, hang = 0, 2 // no room for two columns
	}
	withClients := slices.ContainsFunc(m.Commands, func(c Command) bool { return c.Client })
	say := func(what, does string) {
		text := fmt.Appendf(nil, "%-*s  %s", wide, what, does)
		m.paint.told.add(entry{kind: answer, at: m.now(), text: text, hang: hang})
	}
	for _, c := range m.Commands {
		say(strings.TrimSpace("/"+c.Name+" "+c.Usage), c.Help)
	}
	for _, b := range m.builtins {
		say(strings.TrimSpace("/"+b.Name+" "+b.Usage), b.Help)
	}
	if withClients {
		say("WHO", "is a client: its ID, or its name if that is one word and nobody else has it")
	}
	if m.Foreign {
		say("/others", "are the server's: they are sent as they are; //help asks it for its own")
	}
	say("//text", "sends /text")
	for _, k := range keysHelp {
		say(k[0], k[1])
	}
	m.paint.nudge()
	return nil
}

var keysHelp = [][2]string{
	{"Tab", "completes commands, and clients' names and IDs"},
	{"Up, Down", "what was entered before, that begins so"},
	{"^S, ^Q", "hold messages back, go on"},
	{"^C", "drops the line; on an empty one, quits"},
	{"^D", "on an empty line: the end of input"},
	{"^Z", "suspends; in the background messages wait"},
	{"^A ^E ^B ^F ^W ^U ^K ^Y", "and their like edit as in a shell; ^L clears the screen"},
}

func (m *model) quit(string) *question {
	m.done = true
	return nil
}
