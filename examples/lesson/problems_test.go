package lesson

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// docs/problems.md promises a test for every problem. These tests hold it to
// that.

const repository = "../.."

var (
	heading  = regexp.MustCompile(`(?m)^## (\d+)\. `)
	testName = regexp.MustCompile("`(Test[A-Z][A-Za-z0-9]*)[/`]")
	marker   = regexp.MustCompile(`(?i)\bproblems? \d+(?:(?:, | and )\d+)*`)
	number   = regexp.MustCompile(`\d+`)
)

// Whatever test the page names exists.
func TestProblemsCiteRealTests(t *testing.T) {
	where := testsOf(t, repository)
	for _, m := range testName.FindAllStringSubmatch(page(t), -1) {
		if where[m[1]] == nil {
			t.Errorf("docs/problems.md cites %s, and there is no such test", m[1])
		}
	}
}

// Each problem is shown by a test of the lesson's programs, and each solution
// is held by a test of hubbub's.
func TestProblemsAreShownAndSolved(t *testing.T) {
	lesson := testsOf(t, ".")
	for i, section := range sections(t) {
		_, answer, ok := strings.Cut(section, "\n**hubbub:** ")
		if !ok || !strings.Contains(section, "\n*Shown by* `Test") {
			t.Errorf("problem %d: what is shown, or what hubbub does, is missing", i+1)
		}
		_, tests, _ := strings.Cut(answer, "\n**Test:** ")
		if !testName.MatchString(tests) {
			t.Errorf("problem %d names no test that holds its solution", i+1)
		}
		for _, m := range testName.FindAllStringSubmatch(tests, -1) {
			if lesson[m[1]] != nil {
				t.Errorf("problem %d: %s tests the lesson, not hubbub", i+1, m[1])
			}
		}
	}
}

// Each problem is marked in the programs, at the line where it is, and each
// mark leads to a heading.
func TestProblemsAreMarkedInThePrograms(t *testing.T) {
	var marked []int
	for _, file := range []string{"naive-server/main.go", "naive-client/main.go"} {
		for _, m := range marker.FindAllString(read(t, file), -1) {
			for _, n := range number.FindAllString(m, -1) {
				marked = append(marked, atoi(t, n))
			}
		}
	}
	slices.Sort(marked)
	marked = slices.Compact(marked)
	for i := range sections(t) {
		if !slices.Contains(marked, i+1) {
			t.Errorf("problem %d is marked in no program", i+1)
		}
	}
	if last := marked[len(marked)-1]; last > len(sections(t)) {
		t.Errorf("problem %d is marked and has no heading", last)
	}
}

// sections returns the page cut at its headings, which count from 1.
func sections(t *testing.T) (all []string) {
	t.Helper()
	text := page(t)
	starts := heading.FindAllStringSubmatchIndex(text, -1)
	for i, at := range starts {
		if n := atoi(t, text[at[2]:at[3]]); n != i+1 {
			t.Fatalf("problem %d comes after problem %d", n, i)
		}
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		all = append(all, text[at[0]:end])
	}
	if len(all) == 0 {
		t.Fatal("docs/problems.md has no headings")
	}
	return all
}

func page(t *testing.T) string {
	t.Helper()
	return read(t, filepath.Join(repository, "docs", "problems.md"))
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// testsOf returns every test below root and the files that it is in: on whatever
// system they run.
func testsOf(t *testing.T, root string) map[string][]string {
	t.Helper()
	found := make(map[string][]string)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "testdata" || entry.Name() == ".git") {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, "_test.go") {
			return addTests(found, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func addTests(found map[string][]string, path string) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, declaration := range file.Decls {
		f, ok := declaration.(*ast.FuncDecl)
		if ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
			found[f.Name.Name] = append(found[f.Name.Name], path)
		}
	}
	return nil
}
