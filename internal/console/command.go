package console

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"hubbub.example/internal/quantity"
)

// This file is the slash commands: those of every console, and To, Kick, Mute and
// Unmute for a server's.

// Command is a slash command: a slash, Name, a blank, and the arguments of Run.
type Command struct {
	Name  string // without the slash
	Usage string // its arguments: "WHO [REASON]"
	Help  string // one line for /help

	// Client: the first argument is a client, by ID or by a unique name.
	// Completion offers both; Run gets the ID.
	Client bool

	// InOrder: it runs after the lines that were typed before it are sent.
	// Otherwise it overtakes lines that wait for a slow client, so that the
	// operator can kick that client.
	InOrder bool

	// Run may take its time, until ctx ends with the console; the next
	// command waits for it. The console shows what it returns.
	Run func(ctx context.Context, args string) (string, error)
}

// To is /to: it sends a message to one client, in order with those to all.
func To(send func(ctx context.Context, id uint64, text string) error) Command {
	c := Command{Name: "to", Usage: "WHO TEXT", Help: "send a message to one client", InOrder: true}
	return c.toClient(func(ctx context.Context, id uint64, text string) (string, error) {
		if text == "" {
			return "", errors.New("missing message: /to WHO TEXT")
		}
		return "", send(ctx, id, text)
	})
}

// Kick is /kick: it closes a client's connection, with an optional reason.
func Kick(kick func(ctx context.Context, id uint64, reason string) error) Command {
	c := Command{Name: "kick", Usage: "WHO [REASON]", Help: "close a client's connection"}
	return c.toClient(func(ctx context.Context, id uint64, reason string) (string, error) {
		return fmt.Sprintf("kicked %d", id), kick(ctx, id, reason)
	})
}

// Mute is /mute: the server ignores what a client sends. /who marks it.
func Mute(mute func(ctx context.Context, id uint64) error) Command {
	return toClientOnly("mute", "ignore what a client sends", "muted %d; undo with /unmute %[1]d", mute)
}

// Unmute is /unmute.
func Unmute(unmute func(ctx context.Context, id uint64) error) Command {
	return toClientOnly("unmute", "stop ignoring it", "unmuted %d", unmute)
}

func toClientOnly(name, help, done string, do func(ctx context.Context, id uint64) error) Command {
	c := Command{Name: name, Usage: "WHO", Help: help}
	return c.toClient(func(ctx context.Context, id uint64, rest string) (string, error) {
		if rest != "" {
			return "", fmt.Errorf("takes one client and nothing else: /%s WHO", name)
		}
		return fmt.Sprintf(done, id), do(ctx, id)
	})
}

// toClient is c with a client as its first argument.
func (c Command) toClient(do func(ctx context.Context, id uint64, rest string) (string, error)) Command {
	c.Client = true
	c.Run = func(ctx context.Context, args string) (string, error) {
		id, rest, err := clientID(args)
		if err != nil {
			return "", err
		}
		return do(ctx, id, rest)
	}
	return c
}

// clientID splits a client's ID from the other arguments.
func clientID(args string) (id uint64, rest string, err error) {
	word, rest, _ := strings.Cut(args, " ")
	id, isID := parseID(word)
	switch {
	case word == "":
		return 0, "", errors.New("missing client: give its ID or name (Tab completes it, /who lists all)")
	case !isID:
		return 0, "", fmt.Errorf("no client is called %s (Tab completes names, /who lists all)", word)
	}
	return id, strings.TrimSpace(rest), nil
}

func parseID(word string) (id uint64, is bool) {
	id, err := strconv.ParseUint(strings.TrimPrefix(word, "#"), 10, 64)
	return id, err == nil
}

const mostNamesakes = 20 // in an error

// isWord reports whether a name can be an argument: it is not an ID and has no
// blank.
func isWord(name string) bool {
	_, isID := parseID(name)
	return !isID && name != "" && !strings.Contains(name, " ")
}

// identify replaces the name that args begin with by the client's ID. A number is
// always an ID, whatever clients call themselves.
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
	return "", fmt.Errorf("%s clients are called %s; use an ID: %s%s", quantity.Grouped(len(ids)), word, strings.Join(some, ", "), more)
}

// action is a command as the model runs it.
type action struct {
	Command
	do func(m *model, args string) *question // nil: Run, on another goroutine
}

type actions []action

// actionsOf are the commands of Options and those of every console; with clients,
// also who and slow.
func actionsOf(o Options) actions {
	var list actions
	for _, c := range o.Commands {
		list = append(list, action{Command: c})
	}
	if o.Clients != nil {
		list = append(list,
			action{Command{Name: "who", Usage: "[TEXT]", Help: "list clients, updated every second; /who again or Esc closes the list"}, openTable(false)},
			action{Command{Name: "slow", Usage: "[TEXT]", Help: "list slow clients, furthest behind first"}, openTable(true)})
	}
	return append(list, []action{
		{Command{Name: "filter", Usage: "[TEXT|-TEXT|#ID]", Help: "show only messages with the text, without it, or from one client; no argument shows all"}, (*model).setFilter},
		{Command{Name: "times", Help: "show or hide the time of each message"}, (*model).toggleTimes},
		{Command{Name: "last", Usage: "[N]", Help: "show the last messages again, with times"}, (*model).showLast},
		{Command{Name: "clear", Help: "clear the screen, like ^L"}, (*model).clear},
		{Command{Name: "help", Help: "show this help"}, (*model).help},
		{Command{Name: "quit", Help: "quit, like ^C on an empty line"}, (*model).quit},
	}...)
}

// meant tells a command from a message, and strips the slash:
//
//	//text   the message /text
//	/who     a command
//	/nick    an unknown command; a message if the server has commands
func (m *model) meant(line string) (text string, isCommand bool) {
	text, isCommand = strings.CutPrefix(line, "/")
	switch name, _, _ := strings.Cut(text, " "); {
	case strings.HasPrefix(text, "/"):
		return text, false
	case m.Foreign && m.actions.find(name) == nil:
		return line, false
	}
	return text, isCommand
}

// find returns the command of that name; nil: there is none.
func (list actions) find(name string) *action {
	i := slices.IndexFunc(list, func(a action) bool { return a.Name == name })
	if i < 0 {
		return nil
	}
	return &list[i]
}

// command runs a slash command.
func (m *model) command(text string) *question {
	name, args, _ := strings.Cut(text, " ")
	args = strings.TrimSpace(args)
	switch a := m.actions.find(name); {
	case a == nil:
		m.refuse(fmt.Sprintf("no command /%s: /help lists commands; //%[1]s sends it as a message", name))
	case a.do != nil:
		return a.do(m, args)
	default:
		m.perform(a.Command, args)
	}
	return nil
}

// perform queues a command of Options, among the lines or ahead of them.
func (m *model) perform(c Command, args string) {
	run := func(ctx context.Context) {
		said, err := c.run(ctx, m.Clients, args)
		switch {
		case err != nil:
			m.notice(failure, "/"+c.Name+": "+err.Error())
		case said != "":
			m.notice(answer, said)
		}
	}
	q := m.errands
	if c.InOrder {
		q = m.queue
	}
	if !q.push(job{len(args), run}) {
		m.refuse("/" + c.Name + ": too many commands are waiting")
	}
}

// run runs c with an ID in place of a name.
func (c Command) run(ctx context.Context, clients func() []Client, args string) (said string, err error) {
	if c.Client && clients != nil {
		if args, err = identify(args, clients()); err != nil {
			return "", err
		}
	}
	return c.Run(ctx, args)
}

func openTable(slow bool) func(m *model, args string) *question {
	return func(m *model, args string) *question { return m.open(&table{text: args, slow: slow}) }
}

// open opens a table, or closes it if it is the one that is open.
func (m *model) open(t *table) *question {
	if o := m.table; o != nil && o.slow == t.slow && o.text == t.text {
		m.table = nil
		return nil
	}
	m.table = t
	return m.askClients(t, 0)
}

// again is how many messages /last shows by default, and at most.
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
		m.notice(answer, "showing all messages")
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
			m.refuse(fmt.Sprintf("/last %s: must be a number from 1 to %d", args, mostAgain))
			return nil
		}
	}
	m.recall(min(n, mostAgain))
	return nil
}

// recall shows the last messages again, filtered.
func (m *model) recall(n int) {
	last := m.paint.messages.last(n, m.filter)
	if len(last) == 0 {
		m.notice(answer, "no matching messages in memory")
	}
	for _, e := range last {
		e.kind = remembered
		m.paint.notices.add(e)
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
		m.paint.notices.add(entry{kind: answer, at: m.now(), text: text, hang: hang})
	}
	for _, a := range m.actions {
		say(strings.TrimSpace("/"+a.Name+" "+a.Usage), a.Help)
	}
	if withClients {
		say("WHO", "a client: its ID, or its name if that is one word and unique")
	}
	if m.Foreign {
		say("/others", "other slash commands go to the server; //help shows its help")
	}
	say("//text", "sends /text")
	for _, k := range keysHelp {
		say(k[0], k[1])
	}
	m.paint.nudge()
	return nil
}

var keysHelp = [][2]string{
	{"Tab", "completes commands, client names and IDs"},
	{"Up, Down", "recall earlier lines that begin with what you typed"},
	{"^S, ^Q", "pause and resume messages"},
	{"^C", "clears the line; quits if it is empty"},
	{"^D", "ends input, on an empty line"},
	{"^Z", "suspends; messages wait until you return"},
	{"^A ^E ^B ^F ^W ^U ^K ^Y", "edit as in a shell; ^L clears the screen"},
}

func (m *model) quit(string) *question {
	m.done = true
	return nil
}
