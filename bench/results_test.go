//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Writing results replaces the rows of what was measured, keeps the other rows and
// the text around the table, and drops scenarios that no longer exist.
func TestResultsReplaceWhatWasMeasured(t *testing.T) {
	path := filepath.Join(t.TempDir(), "README.md")
	table := func(rows string) string { return "before\n" + resultsBegin + rows + resultsEnd + "after\n" }
	old := table("Last run: long ago\n\n" + tableHead + "| **gone** | x |\n| | 1 |\n| **flood** | old |\n| | 2 |\n| **idle** | kept |\n| | 3 |\n")
	if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeResults(path, map[string]string{"flood": "| **flood** | new |\n| | 4 |\n", "fanout": "| **fanout** | first |\n"}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := tableHead + "| **fanout** | first |\n| **flood** | new |\n| | 4 |\n| **idle** | kept |\n| | 3 |\n" + resultsEnd + "after\n"
	if got := string(text); !strings.HasPrefix(got, "before\n"+resultsBegin+"Last run: `go run ./bench ") || !strings.HasSuffix(got, want) {
		t.Errorf("the file is\n%s", got)
	}
}

// README.md has the rows of every scenario, as the program writes them.
func TestTheReadmeHasEveryScenario(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	kept := rowsOf(text)
	for _, s := range scenarios {
		if n := strings.Count(kept[s.name], "\n"); n != 1+len(s.figures) {
			t.Errorf("%s has %d rows, not %d: go run ./bench -run '^%s$' -write", s.name, n, 1+len(s.figures), s.name)
		}
	}
}
