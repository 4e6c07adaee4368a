//go:build unix

package web_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hubbub.example/internal/proto"
)

// The modules without a DOM have tests of their own, in JavaScript.
func TestModulesOfThePage(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed; tools/needs installs it")
	}
	tests, err := filepath.Glob("page/*.test.mjs")
	if err != nil || len(tests) == 0 {
		t.Fatal(tests, err)
	}
	for _, file := range tests { // so that go test runs them again after a change
		if _, err := os.Stat(file); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(node, "--test")
	cmd.Dir = "page"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("node --test in internal/web/page: %v\n%s", err, out)
	}
}

// A module that is not served, or not preloaded, breaks the page or delays it.
func TestEveryModuleIsServedAndPreloaded(t *testing.T) {
	c := open(t, nil)
	_, page := c.ask(local, request("GET / HTTP/1.1", "Host: localhost", "Accept: text/html"))
	named := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		named[m[1]] = true
	}
	modules, err := filepath.Glob("page/*.js")
	if err != nil || len(modules) == 0 {
		t.Fatal(modules, err)
	}
	imports := regexp.MustCompile(`(?m)^import .* from "\./(.*)";$`)
	for _, file := range modules {
		module := filepath.Base(file)
		if !named[module] {
			t.Errorf("index.html does not name %s", module)
		}
		r, body := c.ask(local, request("GET /"+module+" HTTP/1.1", "Host: localhost"))
		if r.code != 200 || r.Header.Get("Content-Type") != "text/javascript; charset=utf-8" || r.Header.Get("ETag") == "" {
			t.Errorf("/%s: %d, %v", module, r.code, r.Header)
		}
		for _, m := range imports.FindAllStringSubmatch(body, -1) {
			if _, err := os.Stat(filepath.Join("page", m[1])); err != nil {
				t.Errorf("%s imports %s: %v", module, m[1], err)
			}
		}
	}
	for _, served := range []string{"package.json", "link.test.mjs"} {
		if r, _ := c.ask(local, request("GET /"+served+" HTTP/1.1", "Host: localhost")); r.code != 404 {
			t.Errorf("/%s is served", served)
		}
	}
}

// The page has the tables of internal/proto in JavaScript.
func TestThePageKnowsWhichEndsAreFinal(t *testing.T) {
	source, err := os.ReadFile("page/endings.js")
	if err != nil {
		t.Fatal(err)
	}
	list := func(name string) (items []string) {
		m := regexp.MustCompile(name + `\s*=\s*\[(.*)\];`).FindSubmatch(source)
		if m == nil {
			t.Fatalf("endings.js has no %s", name)
		}
		for item := range strings.SplitSeq(string(m[1]), ",") {
			items = append(items, strings.Trim(item, ` "`))
		}
		return items
	}
	var codes, reasons []string
	for c := proto.CloseNormal; c <= 4999; c++ {
		if !c.Retry() {
			codes = append(codes, strconv.Itoa(int(c)))
		}
	}
	for r := proto.ReasonNone; r <= proto.ReasonDenied; r++ {
		if !r.Retry() {
			reasons = append(reasons, r.String())
		}
	}
	if got := list("FINAL_CODES"); !slices.Equal(got, codes) {
		t.Errorf("FINAL_CODES is %v, internal/proto has %v", got, codes)
	}
	if got := list("FINAL_REASONS"); !slices.Equal(got, reasons) {
		t.Errorf("FINAL_REASONS is %v, internal/proto has %v", got, reasons)
	}
	for _, r := range list("LINE_REASONS") {
		if !slices.Contains(reasons, r) {
			t.Errorf("LINE_REASONS has %s, which is not final", r)
		}
	}
}

// docs list what the page is made of: a proxy may need to know.
func TestDocsListTheFilesOfThePage(t *testing.T) {
	docs, err := os.ReadFile("../../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	err = fs.WalkDir(os.DirFS("page"), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || d.IsDir() || strings.HasSuffix(name, ".mjs"):
		case name != "index.html" && name != "package.json" && !strings.Contains(string(docs), "`/"+name+"`"):
			t.Errorf("docs/http.md does not list /%s", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
