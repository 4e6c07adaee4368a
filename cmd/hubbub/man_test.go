package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Every command has a man page, with its examples and all its flags.
func TestManPages(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it builds the command once more")
	}
	folder := t.TempDir()
	if said, err := exec.Command("go", "run", "-tags", "man", ".", folder).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	for page, wants := range map[string][]string{
		"hubbub":            {"one nonblocking server", "hubbub-serve(1)", "hubbub-join(1)"},
		"hubbub-serve":      {"COMMAND", "app.log | hubbub serve :9000", "--min-rate", "--log-format"},
		"hubbub-join":       {"hubbub join host:9000", "--since", "ws://HOST:PORT"},
		"hubbub-sockopts":   {"--so"},
		"hubbub-version":    {"NAME"},
		"hubbub-completion": {"hubbub-completion-bash(1)"},
	} {
		text, err := os.ReadFile(filepath.Join(folder, page+".1"))
		if err != nil {
			t.Error(err)
		}
		plain := strings.ReplaceAll(strings.ReplaceAll(string(text), `\-`, "-"), `\fP`, "")
		plain = strings.ReplaceAll(strings.ReplaceAll(plain, `\fB`, ""), `\fI`, "")
		for _, want := range wants {
			if !strings.Contains(plain, want) {
				t.Errorf("%s.1 does not have %q", page, want)
			}
		}
	}
}
