//go:build unix

package hubbub

import (
	"fmt"
	"slices"
	"testing"

	"hubbub.example/internal/engine"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/delivery"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/intake"
	"hubbub.example/internal/engine/quota"
	"hubbub.example/internal/sock"
)

func describe(e Event) string {
	switch e.Kind {
	case Message:
		return fmt.Sprintf("%d %s %s", e.Client, e.Kind, e.Data)
	case Leave:
		return fmt.Sprintf("%d %s %s", e.Client, e.Kind, e.Reason)
	}
	return fmt.Sprintf("%d %s", e.Client, e.Kind)
}

// A batch gives what is in it in order, and no more when the caller has enough.
func TestBatchGivesEventsInOrder(t *testing.T) {
	in := intake.NewInbox(intake.Config{Longest: 100, Messages: true, Presence: true, Beginnings: quota.New(100)}, 1, nil, func() {})
	w := in.NewWriter()
	var clients [2]intake.Sender
	for i := range clients {
		clients[i] = intake.NewSender(sock.Addr{}, 0)
		clients[i].Joins(uint64(1+i), 0)
	}
	for i, says := range []string{"one\n\ntwo\n", "three\n"} {
		s := &clients[i]
		w.Presence(intake.Join, s, ending.Reason{})
		w.Batch()
		s.Took(w, copy(s.Space(w), says))
	}
	w.Presence(intake.Leave, &clients[0], ending.Kicked("enough"))
	w.Deliver()
	b := (*Batch)(in.TryReceive())
	want := []string{"1 join", "1 message one", "1 message ", "1 message two", "2 join", "2 message three", "1 leave kicked: enough"}
	for n := range len(want) + 1 {
		var got []string
		for e := range b.Events() {
			if len(got) == n {
				break
			}
			if got = append(got, describe(e)); e.Kind == Leave && e.Code != LeaveKicked {
				t.Errorf("it left with %s", e.Code)
			}
		}
		if !slices.Equal(got, want[:n]) {
			t.Errorf("the first %d events are %q, want %q", n, got, want[:n])
		}
	}
	if got := string(b.Plain()); got != "one\n\ntwo\nthree\n" {
		t.Errorf("plain: %q", got)
	}
}

// The kinds of events are those of package intake.
func TestEventKindsAreIntakes(t *testing.T) {
	for kind, its := range map[EventKind]intake.Kind{Message: intake.Message, Join: intake.Join, Leave: intake.Leave} {
		if kind != EventKind(its) {
			t.Errorf("%s is %d, in intake it is %d", kind, kind, its)
		}
	}
}

// The values of options are those of the engine.
func TestOptionsAreTheEngines(t *testing.T) {
	for _, c := range []struct{ ours, its any }{
		{int(SlowWait), int(delivery.Wait)},
		{int(SlowCut), int(delivery.Cut)},
		{int(SlowSkip), int(delivery.Skip)},
		{int(ReplayUnheard), int(backlog.FirstUnheard)},
		{int(ReplayNone), int(backlog.FirstNone)},
		{int(ReplayAll), int(backlog.FirstAll)},
		{int(InboxAll), int(engine.InboxAll)},
		{int(InboxMessages), int(engine.InboxMessages)},
		{int(InboxPresence), int(engine.InboxPresence)},
		{int(InboxNone), int(engine.InboxNone)},
	} {
		if c.ours != c.its {
			t.Errorf("%v is %v in the engine", c.ours, c.its)
		}
	}
}
