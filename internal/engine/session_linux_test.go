package engine

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"hubbub.example/internal/scene"
)

// saysFrom has a client from this address of ours say a message in a session,
// if there is one, and leave. It returns what the hub had of the session.
func (h *Engine) saysFrom(t *testing.T, from, address, session, message string) (ack uint64) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(scene.LongEnough))
	r := shakeHands(t, c, "/?last=0&session="+session, "hubbub.v1")
	hello := heardObject(t, r)
	if message != "" {
		if _, err := c.Write(masked(ws.OpText, fmt.Sprintf(`{"type":"message","n":%d,"text":%q}`, hello.Ack+1, message))); err != nil {
			t.Fatal(err)
		}
		if got := heardObject(t, r); got.N != hello.Ack+1 {
			t.Fatalf("it gets %+v", got)
		}
	}
	before := h.Stats().Clients
	_ = c.Close()
	scene.Until(t, "it has left", func() bool { return h.Stats().Clients < before })
	return hello.Ack
}

type object struct {
	Type   string
	Ack, N uint64
}

func heardObject(t *testing.T, r *bufio.Reader) (o object) {
	t.Helper()
	f, err := readFrame(r)
	if err == nil {
		err = json.Unmarshal(f.Payload, &o)
	}
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// Who makes sessions without number pushes out its own, and those in which
// nothing was said are none.
func TestNobodyPushesOutSessionsOfOthers(t *testing.T) {
	t.Parallel()
	const most = 20
	h, at := hall(t, Config{Inbox: InboxNone, Pace: Pace{Sessions: most}})
	honest := func(i int) string { return fmt.Sprintf("honest-number-%06d", i) }
	for i := range most / 4 {
		h.saysFrom(t, "127.0.0.1", at, honest(i), "hello")
	}
	for i := range 2 * most {
		h.saysFrom(t, "127.0.0.2", at, fmt.Sprintf("silent-number-%06d", i), "")
		if n := h.sessions.Known(); n > most/4 {
			t.Fatalf("%d sessions are remembered, of which %d said nothing", n, n-most/4)
		}
	}
	for i := range 2 * most {
		h.saysFrom(t, "127.0.0.2", at, fmt.Sprintf("loud-number-%06d", i), "a word")
	}
	if n := h.sessions.Known(); n != most {
		t.Errorf("%d sessions are remembered, want %d", n, most)
	}
	for i := range most / 4 {
		if ack := h.saysFrom(t, "127.0.0.1", at, honest(i), ""); ack != 1 {
			t.Errorf("of session %d the hub has %d", i, ack)
		}
	}
	if ack := h.saysFrom(t, "127.0.0.2", at, fmt.Sprintf("loud-number-%06d", 2*most-1), ""); ack != 1 {
		t.Error("not the oldest of its own went")
	}
}
