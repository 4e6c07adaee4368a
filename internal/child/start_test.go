//go:build unix

package child_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"hubbub.example/internal/child"
)

func write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// A command that cannot be started is an error at once. The error says why and,
// where that can be known, what to do.
func TestCannotBeStarted(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("PATH", "/usr/bin:/bin")
	write(t, "data", "x", 0o644)
	write(t, "bot", "echo no interpreter is named\n", 0o755)
	write(t, "bot.py", "#!/no/such/interpreter\n", 0o755)
	for command, want := range map[string]string{
		"":             `exec "": no command`,
		"no-such":      "exec no-such: not found in PATH",
		"bot":          "exec bot: not found in PATH; to run the one in this directory: ./bot",
		"./no-such":    "exec ./no-such: no such file or directory",
		"./data":       "exec ./data: permission denied; make it executable: chmod +x ./data",
		"./data/x":     "exec ./data/x: not a directory",
		"/":            "exec /: is a directory",
		"./bot":        "exec ./bot: exec format error; begin the script with its interpreter, such as #!/bin/sh or #!/usr/bin/env python3",
		"./bot.py":     "exec ./bot.py: no such file or directory: the interpreter in its first line",
		"/dev/null":    "exec /dev/null: permission denied",
		"/bin/sh/../x": "exec /bin/sh/../x: not a directory",
	} {
		c := run(t, child.Options{Args: []string{command}, Restart: child.Always})
		_, err := c.returns()
		var start *child.StartError
		if !errors.As(err, &start) || err.Error() != want || !start.Misused() {
			t.Errorf("%q: %v\n\twant %s", command, err, want)
		}
		if len(c.ends) > 0 {
			t.Errorf("%q: an end of what never was", command)
		}
		if _, found := child.Find(command); found != nil && found.Error() != want {
			t.Errorf("found %q: %v", command, found)
		}
	}
	_, err := child.Run(t.Context(), child.Options{})
	if err == nil || err.Error() != `exec "": no command` {
		t.Error(err)
	}
}

// A lack of processes is not the command line's fault.
func TestMisused(t *testing.T) {
	for errno, misused := range map[syscall.Errno]bool{
		syscall.ENOENT: true, syscall.E2BIG: true, syscall.EAGAIN: false, syscall.EMFILE: false, syscall.ENOMEM: false,
	} {
		if got := (&child.StartError{Err: errno}).Misused(); got != misused {
			t.Errorf("%v: %t", errno, got)
		}
	}
}

func TestFoundInPath(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	t.Setenv("PATH", "/nowhere:"+folder)
	write(t, "bot", "#!/bin/sh\necho hello\n", 0o755)
	c := run(t, child.Options{Args: []string{"bot"}})
	if _, err := c.returns(); err != nil || c.said.Text() != "hello\n|" {
		t.Errorf("%v; it says %q", err, c.said.Text())
	}
	t.Setenv("PATH", ".")
	if path, err := child.Find("bot"); err != nil {
		t.Errorf("%q, %v", path, err)
	}
}

// A later start that fails, for example while a new version is installed, counts
// as a failure like others. Not parallel: another test's process, just forked, may
// still hold a file that we have written, which cannot be executed then.
func TestLaterItMayBeMissing(t *testing.T) {
	bot := filepath.Join(t.TempDir(), "bot")
	write(t, bot, "#!/bin/sh\nrm $0\nexit 1\n", 0o755)
	c := run(t, child.Options{Args: []string{bot}}.Hurried())
	if end := c.ended(); end.Code != 1 || end.Err != nil {
		t.Errorf("%+v", end)
	}
	for i := range 2 {
		end := c.ended()
		if !errors.Is(end.Err, syscall.ENOENT) || end.Again == 0 || end.Start != i+2 {
			t.Errorf("%+v", end)
		}
	}
	write(t, bot+".new", "#!/bin/sh\necho here I am\n", 0o755)
	if err := os.Rename(bot+".new", bot); err != nil {
		t.Fatal(err)
	}
	if end, err := c.returns(); err != nil || end.Code != 0 {
		t.Errorf("%+v, %v", end, err)
	}
	c.said.Until(t, "here I am\n")
}
