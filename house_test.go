// This file holds the house in order. Each test is one rule of layout or of
// imports, and a failure says how to mend it:
//
//	imports    who may know whom: layers, one row a package; houseRules
//	folders    how deep, and what they may not be called
//	packages   one is public; each says what it is
//	text       nothing of anybody's machine; what the README shows exists
//
// It reads every Go file there is, whatever platform it is for.
package hubbub_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

const houseModule = "hubbub.example"

// houseFile is one Go file; its paths are slashed and relative to the root.
type houseFile struct {
	path    string
	folder  string // "." is the root
	pkg     string
	doc     string
	test    bool
	imports []string
}

// houseRule says what the files that it is for may import.
type houseRule struct {
	rule, mend string
	is         func(f houseFile) bool
	may        func(f houseFile, imported string) bool
}

var houseRules = []houseRule{
	{
		rule: "nothing imports a command, an example or the benchmarks",
		mend: "move what is wanted to the root or to a leaf under internal/",
		is:   func(houseFile) bool { return true },
		may: func(f houseFile, imported string) bool {
			folder, ours := ourFolder(imported)
			return !ours || folder == f.folder || folder == "." || within(folder, "internal")
		},
	},
	{
		rule: "an example shows what others can do: of ours it imports the root alone",
		mend: "use the public API, or extend it if it does not do",
		is:   func(f houseFile) bool { return within(f.folder, "examples") && !f.test },
		may: func(_ houseFile, imported string) bool {
			folder, ours := ourFolder(imported)
			return !ours || folder == "."
		},
	},
	{
		rule: "the lesson is written on bare system calls: the standard library and golang.org/x/sys/unix",
		mend: "write the few lines out, they are the lesson",
		is:   func(f houseFile) bool { return within(f.folder, "examples/lesson") && !f.test },
		may: func(_ houseFile, imported string) bool {
			return standard(imported) || imported == "golang.org/x/sys/unix"
		},
	},
	{
		rule: "the benchmarks see hubbub as its users do, from outside",
		mend: "use the public API or the command; a leaf's own benchmarks stand in its _test.go",
		is:   func(f houseFile) bool { return within(f.folder, "bench") },
		may: func(_ houseFile, imported string) bool {
			folder, ours := ourFolder(imported)
			return !ours || !within(folder, "internal")
		},
	},
}

// layers says which packages of ours each package may import: one row a
// package, the higher ones first. What a row does not name, it may not import.
var layers = map[string][]string{
	".": {
		"internal/engine", "internal/engine/backlog", "internal/engine/delivery", "internal/engine/intake",
		"internal/framing", "internal/proto", "internal/quantity", "internal/sock",
	},

	// The engine knows all organs, and does what they return.
	"internal/engine": {
		"internal/codec",
		"internal/engine/accept",
		"internal/engine/backlog",
		"internal/engine/delivery",
		"internal/engine/ending",
		"internal/engine/intake",
		"internal/engine/link",
		"internal/engine/loop",
		"internal/engine/pump",
		"internal/engine/quota",
		"internal/feed",
		"internal/framing",
		"internal/logger",
		"internal/poll",
		"internal/proto",
		"internal/quantity",
		"internal/sock",
		"internal/web",
	},

	// Organs: each owns one state of the engine, and returns what is to be done.
	"internal/engine/accept":   {"internal/codec", "internal/engine/link", "internal/poll", "internal/sock"},
	"internal/engine/backlog":  {"internal/codec", "internal/feed"},
	"internal/engine/delivery": {"internal/codec", "internal/engine/backlog", "internal/engine/ending", "internal/engine/quota", "internal/feed", "internal/proto"},
	"internal/engine/ending":   {"internal/logger", "internal/proto", "internal/quantity"},
	"internal/engine/intake":   {"internal/codec", "internal/engine/ending", "internal/engine/quota", "internal/framing", "internal/proto", "internal/sock"},
	"internal/engine/link":     {"internal/feed", "internal/poll", "internal/sock"},
	"internal/engine/loop":     {"internal/poll"},
	"internal/engine/pump":     {"internal/engine/backlog", "internal/engine/intake", "internal/engine/loop", "internal/framing", "internal/logger", "internal/poll", "internal/quantity", "internal/sock", "internal/stdio"},
	"internal/engine/quota":    {},

	// Leaves: each wraps a part of the world. Of ours they know the ground
	// alone; only the console's terminal is a standard file.
	"internal/child":   {"internal/backoff", "internal/framing", "internal/quantity"},
	"internal/codec":   {"internal/proto"},
	"internal/console": {"internal/quantity", "internal/stdio", "internal/visible"},
	"internal/feed":    {},
	"internal/join":    {"internal/address", "internal/backoff", "internal/framing", "internal/logger", "internal/proto", "internal/quantity"},
	"internal/jsonl":   {"internal/proto"},
	"internal/poll":    {},
	"internal/sock":    {"internal/address", "internal/quantity"},
	"internal/stdio":   {},
	"internal/visible": {},
	"internal/web":     {"internal/proto"},
	"internal/wsconn":  {"internal/proto"},

	// Ground: what several leaves share, without I/O.
	"internal/address":  {},
	"internal/backoff":  {},
	"internal/framing":  {},
	"internal/logger":   {"internal/quantity"},
	"internal/proto":    {},
	"internal/quantity": {},

	// For tests only: no other row names it.
	"internal/scene": {},
}

func TestImportsFollowTheLayers(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range houseFiles(t) {
		if f.test || f.folder != "." && !within(f.folder, "internal") {
			continue
		}
		row, ok := layers[f.folder]
		if !ok && !seen[f.folder] {
			t.Errorf("%s has no row in layers.\n\tmend: add one to house_test.go that names what it may import", f.folder)
		}
		seen[f.folder] = true
		for _, imported := range f.imports {
			if folder, ours := ourFolder(imported); ok && ours && !slices.Contains(row, folder) {
				t.Errorf("%s imports %s, which its row in layers does not name.\n\tmend: return what is to be done and let a package above both do it, or pass a value in; change the row only if the layers of docs/architecture.md change",
					f.path, folder)
			}
		}
	}
	for folder := range layers {
		if !seen[folder] {
			t.Errorf("layers has a row for %s, which does not exist.\n\tmend: remove it", folder)
		}
	}
}

func TestImportsFollowTheHouse(t *testing.T) {
	for _, f := range houseFiles(t) {
		for _, r := range houseRules {
			if !r.is(f) {
				continue
			}
			for _, imported := range f.imports {
				if !r.may(f, imported) {
					t.Errorf("%s imports %q.\n\trule: %s\n\tmend: %s", f.path, imported, r.rule, r.mend)
				}
			}
		}
	}
}

// golang.org/x/sys and golang.org/x/term are not counted: they are the Go
// project's own system calls.
func TestLeafWrapsAtMostOneLibrary(t *testing.T) {
	modules := requiredModules(t)
	wraps := map[string][]string{}
	for _, f := range houseFiles(t) {
		if !within(f.folder, "internal") || f.test {
			continue
		}
		leaf := leafOf(f.folder)
		for _, imported := range f.imports {
			module := moduleOf(imported, modules)
			if module != "" && module != "golang.org/x/sys" && module != "golang.org/x/term" && !slices.Contains(wraps[leaf], module) {
				wraps[leaf] = append(wraps[leaf], module)
			}
		}
	}
	for leaf, libraries := range wraps {
		if len(libraries) > 1 {
			t.Errorf("%s imports %s.\n\trule: a leaf imports the standard library and the one outside library it wraps\n\tmend: make it a leaf for each",
				leaf, strings.Join(libraries, " and "))
		}
	}
}

func TestOnlyTheRootIsPublic(t *testing.T) {
	for _, f := range houseFiles(t) {
		if f.test || f.folder == "." || within(f.folder, "internal") || f.pkg == "main" {
			continue
		}
		t.Errorf("%s is of package %s, which others can import.\n\trule: there is one public package, at the root; all else is internal/ or a command\n\tmend: move %s under internal/",
			f.path, f.pkg, f.folder)
	}
}

func TestPackagesSayWhatTheyAre(t *testing.T) {
	name, said := map[string]string{}, map[string]bool{}
	for _, f := range houseFiles(t) {
		if f.test {
			continue
		}
		name[f.folder] = f.pkg
		said[f.folder] = said[f.folder] || strings.HasPrefix(f.doc, docStart(f))
	}
	for folder, pkg := range name {
		if !said[folder] {
			t.Errorf("no file of %s has a package comment.\n\trule: a package says in its comment what it is for\n\tmend: begin it with %q above the package clause of its main file",
				folder, docStart(houseFile{folder: folder, pkg: pkg}))
		}
	}
}

// docStart returns how the comment of f's package begins.
func docStart(f houseFile) string {
	if f.pkg == "main" {
		return "Command " + path.Base(f.folder) + " "
	}
	return "Package " + f.pkg + " "
}

func TestNoDrawers(t *testing.T) {
	drawer := regexp.MustCompile(`^(util|utility|utilitie|common|helper|type|misc)s?$`)
	for _, f := range houseFiles(t) {
		pkg := strings.TrimSuffix(f.pkg, "_test")
		for _, name := range slices.Compact([]string{pkg, path.Base(f.folder)}) {
			if drawer.MatchString(name) {
				t.Errorf("%s stands in %q.\n\trule: a package is named after what it is about, not after a drawer\n\tmend: name it so, or move its parts to who uses them", f.path, name)
			}
		}
	}
}

func TestFoldersStayShallow(t *testing.T) {
	const deepest = 3
	deep := map[string]bool{}
	for _, file := range textFiles(t) {
		folders := strings.Split(path.Dir(file), "/")
		if i := slices.Index(folders, "testdata"); i >= 0 {
			folders = folders[:i]
		}
		if len(folders) > deepest {
			deep[path.Dir(file)] = true
		}
	}
	for folder := range deep {
		t.Errorf("%s is too deep.\n\trule: at most %d folders, testdata not counted\n\tmend: move it up", folder, deepest)
	}
}

// A path of the machine something was written on means nothing elsewhere.
func TestNoPathsOfAnybodysMachine(t *testing.T) {
	personal := regexp.MustCompile(`(?:^|[^\w.~$})-])(/(?:home|Users|root|work|workspace)/[\w.][^\s"'` + "`" + `)]*|[A-Z]:\\+Users\\+\w+)`)
	for _, file := range textFiles(t) {
		text := readHouse(t, file)
		for _, found := range personal.FindAllSubmatchIndex(text, -1) {
			line := 1 + bytes.Count(text[:found[2]], []byte("\n"))
			t.Errorf("%s:%d says %s.\n\trule: no path of anybody's home or work folder\n\tmend: make it relative, or ask for it (os.UserHomeDir, t.TempDir)",
				file, line, text[found[2]:found[3]])
		}
	}
}

var (
	fenced     = regexp.MustCompile("(?ms)^```[a-z]*$.*?^```$|^(?:    |\t)[^\n]*$")
	hubbubCall = regexp.MustCompile(`^\s*(?:\$ )?(?:go run \./cmd/)?hubbub ([a-z]+)`)
	longFlag   = regexp.MustCompile(`(?:^|\s)--([a-z][a-z-]*)`)
	makeCall   = regexp.MustCompile(`(?m)^\s*(?:\$ )?make ([a-z]+)`)
	goCall     = regexp.MustCompile(`\bgo (?:run|test|build)(?: -\S+)* (\./[\w/-]+)`)
	mdLink     = regexp.MustCompile(`\]\(([^)#:\s]*)(?:#([^)]*))?\)`)
	mdHeading  = regexp.MustCompile(`(?m)^#+ (.*)$`)
	// mdPunctuation is what a heading's anchor leaves out.
	mdPunctuation = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
	commandLine   = regexp.MustCompile(`[|;&\n]`)
)

// What a newcomer pastes first must not be something we once had.
func TestReadmeShowsWhatExists(t *testing.T) {
	readme := readHouse(t, "README.md")
	command := sourceOf(t, "cmd/hubbub")
	makefile := readHouse(t, "Makefile")
	for _, block := range fenced.FindAllString(string(readme), -1) {
		for _, line := range commandLine.Split(block, -1) {
			checkCommandLine(t, line, command)
		}
		for _, m := range makeCall.FindAllStringSubmatch(block, -1) {
			if !bytes.Contains(makefile, []byte("\n"+m[1]+":")) {
				t.Errorf("README.md shows %q; the Makefile has no such target", m[0])
			}
		}
		for _, m := range goCall.FindAllStringSubmatch(block, -1) {
			if _, err := os.Stat(filepath.FromSlash(m[1])); err != nil {
				t.Errorf("README.md shows %q: %v", m[0], err)
			}
		}
	}
}

// checkCommandLine looks for the command of one line of the README, and for
// its flags, in the text of the command. What stands behind "--" is another
// program's.
func checkCommandLine(t *testing.T, line, command string) {
	call := hubbubCall.FindStringSubmatchIndex(line)
	if call == nil {
		return
	}
	if name := line[call[2]:call[3]]; name != "help" && !regexp.MustCompile(`Use:\s+"`+name+`\b`).MatchString(command) {
		t.Errorf("README.md shows %q; there is no command %s", strings.TrimSpace(line), name)
	}
	ours, _, _ := strings.Cut(line[call[1]:], " #")
	ours, _, _ = strings.Cut(ours, " -- ")
	for _, flag := range longFlag.FindAllStringSubmatch(ours, -1) {
		if !strings.Contains(command, strconv.Quote(flag[1])) {
			t.Errorf("README.md shows %q; there is no flag --%s", strings.TrimSpace(line), flag[1])
		}
	}
}

func TestLinksBetweenDocumentsLead(t *testing.T) {
	for _, file := range textFiles(t) {
		if path.Ext(file) != ".md" {
			continue
		}
		for _, m := range mdLink.FindAllSubmatch(readHouse(t, file), -1) {
			to, anchor := file, string(m[2])
			if len(m[1]) > 0 {
				to = path.Join(path.Dir(file), string(m[1]))
			}
			if _, err := os.Stat(filepath.FromSlash(to)); err != nil {
				t.Errorf("%s links to %s: %v", file, m[1], err)
			} else if anchor != "" && path.Ext(to) == ".md" && !slices.Contains(anchorsOf(readHouse(t, to)), anchor) {
				t.Errorf("%s links to %s#%s, and there is no such heading", file, to, anchor)
			}
		}
	}
}

// anchorsOf returns what links to the headings of a page are called.
func anchorsOf(page []byte) (anchors []string) {
	for _, m := range mdHeading.FindAllSubmatch(fenced.ReplaceAll(page, nil), -1) {
		anchor := mdPunctuation.ReplaceAllString(strings.ToLower(string(m[1])), "")
		anchors = append(anchors, strings.ReplaceAll(anchor, " ", "-"))
	}
	return anchors
}

// A package that the map does not show is not found.
func TestTheMapShowsEveryPackage(t *testing.T) {
	words := strings.FieldsFunc(string(readHouse(t, "docs/architecture.md")), func(r rune) bool {
		return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	for folder := range layers {
		if name := path.Base(folder); folder != "." && !slices.Contains(words, name) {
			t.Errorf("docs/architecture.md does not name %s.\n\tmend: put it into the drawing of the rooms", folder)
		}
	}
}

// houseFiles returns every Go file of the module.
func houseFiles(t *testing.T) []houseFile {
	t.Helper()
	var all []houseFile
	for _, file := range textFiles(t) {
		if path.Ext(file) == ".go" && !slices.Contains(strings.Split(file, "/"), "testdata") {
			all = append(all, parseHouseFile(t, file))
		}
	}
	if len(all) < 2 {
		t.Fatalf("found %d Go files; the rules hold nothing", len(all))
	}
	return all
}

func parseHouseFile(t *testing.T, file string) houseFile {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.FromSlash(file), nil, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return houseFile{
		path:    file,
		folder:  path.Dir(file),
		pkg:     parsed.Name.Name,
		doc:     parsed.Doc.Text(),
		test:    strings.HasSuffix(file, "_test.go"),
		imports: importsOf(parsed),
	}
}

func importsOf(parsed *ast.File) []string {
	var paths []string
	for _, spec := range parsed.Imports {
		p, _ := strconv.Unquote(spec.Path.Value) // the parser has checked it
		paths = append(paths, p)
	}
	return paths
}

// textFiles returns every file of the repository but binaries and what git keeps
// or ignores.
func textFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == ".git" || name == "bin"):
			return filepath.SkipDir
		case d.Type().IsRegular() && isText(t, name):
			files = append(files, filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func isText(t *testing.T, name string) bool {
	return !bytes.Contains(readHouse(t, name), []byte{0})
}

func readHouse(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(file))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// sourceOf returns the text of a folder's Go files, tests not included.
func sourceOf(t *testing.T, folder string) string {
	t.Helper()
	var text strings.Builder
	for _, f := range houseFiles(t) {
		if f.folder == folder && !f.test {
			text.Write(readHouse(t, f.path))
		}
	}
	return text.String()
}

// ourFolder returns the folder of an imported package of this module.
func ourFolder(imported string) (folder string, ours bool) {
	if imported == houseModule {
		return ".", true
	}
	return strings.CutPrefix(imported, houseModule+"/")
}

func within(folder, top string) bool {
	return folder == top || strings.HasPrefix(folder, top+"/")
}

// leafOf is internal/NAME, for all that lies within it.
func leafOf(folder string) string {
	parts := strings.SplitN(folder, "/", 3)
	return path.Join(parts[:min(2, len(parts))]...)
}

// standard reports whether the standard library has it: no host has a name
// without a dot.
func standard(imported string) bool {
	host, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(host, ".")
}

// requiredModules returns what go.mod requires.
func requiredModules(t *testing.T) []string {
	t.Helper()
	var modules []string
	for _, m := range regexp.MustCompile(`(?m)^(?:require|\t) ?(\S+) v\S+`).FindAllSubmatch(readHouse(t, "go.mod"), -1) {
		modules = append(modules, string(m[1]))
	}
	return modules
}

// moduleOf returns the module an import comes from; "" if it is not from outside.
func moduleOf(imported string, modules []string) string {
	module := ""
	for _, m := range modules {
		if within(imported, m) && len(m) > len(module) {
			module = m
		}
	}
	return module
}
