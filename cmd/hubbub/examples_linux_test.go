package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// This file runs the programs in examples/ behind a hub, with clients.

// example starts a server with one of them behind it.
func example(t *testing.T, needed string, command ...string) *program {
	t.Helper()
	needs(t, needed)
	return start(t, append([]string{"serve", "127.0.0.1:0", "--json", "--replay", "none", "--"}, command...)...)
}

func TestExampleEcho(t *testing.T) {
	t.Parallel()
	p := example(t, "jq", "../../examples/echo/echo.sh")
	a, b := p.client(), p.client()
	a.Says("from a\n")
	b.Says("from b\n")
	a.Hears("from a\n")
	b.Hears("from b\n")
	a.Says("\xff\n")
	a.Hears("\xff\n")
}

func TestExampleChat(t *testing.T) {
	t.Parallel()
	p := example(t, "python3", "../../examples/chat/chat.py")
	ann := p.client()
	ann.Says("/nick ann\n")
	ann.until(" is now ann")
	bob := p.client()
	bob.Says("hello\n")
	guest, _, _ := strings.Cut(strings.TrimPrefix(ann.until(" is here, and 1 others"), "* "), " ")
	ann.Hears("<" + guest + "> hello\n")
	ann.Says("hi\n")
	bob.until("<ann> hi")
	bob.Done()
	ann.Hears("* " + guest + " has left\n")
}

func TestExampleQuiz(t *testing.T) {
	t.Parallel()
	p := example(t, "node", "../../examples/quiz/quiz.js")
	a := p.client()
	a.Says("door\n")
	a.Hears("Question 1: What has keys but opens no door?\nNo.\n")
	b := p.client()
	b.Says("Piano\n")
	a.until(" is right: piano. Question 2: ")
	b.until(" is right: piano. Question 2: ")
	b.Says("score\n")
	if line := b.until("player "); !strings.Contains(line, " 0, ") || !strings.HasSuffix(line, " 1\n") {
		t.Errorf("%q", line)
	}
}

func TestExampleVote(t *testing.T) {
	t.Parallel()
	vote := filepath.Join(t.TempDir(), "vote")
	if out, err := exec.Command("go", "build", "-o", vote, "../../examples/vote").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p := example(t, "sh", vote)
	a, b := p.client(), p.client()
	a.Says("yes\n")
	a.until("yes 1, no 0")
	b.Says("no\n")
	b.until("yes 1, no 1")
	a.Says("No\n")
	b.until("yes 0, no 2")
	_ = a.Close()
	b.until("yes 0, no 1")
}
