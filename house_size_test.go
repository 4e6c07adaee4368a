// This file keeps types small enough to be read, and what parts of the engine
// decide from being thrown away. Each test is one rule, and a failure says how
// to mend it.
package hubbub_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

const (
	mostFields  = 20 // of a struct
	mostMethods = 35 // of a type
	mostFiles   = 4  // that a type's methods stand in
	mostLines   = 60 // lines of a function
)

// ourType is what is counted of one type.
type ourType struct {
	fields  int
	methods int
	files   map[string]bool
}

func TestTypesStaySmall(t *testing.T) {
	all := map[string]*ourType{}
	of := func(folder, name string) *ourType {
		key := folder + "." + name
		if all[key] == nil {
			all[key] = &ourType{files: map[string]bool{}}
		}
		return all[key]
	}
	eachOurFile(t, func(file string, parsed *ast.File) {
		folder := path.Dir(file)
		for _, d := range parsed.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if name := receiverOf(d); name != "" {
					x := of(folder, name)
					x.methods++
					x.files[platformless(file)] = true
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if s, ok := spec.(*ast.TypeSpec); ok {
						if st, ok := s.Type.(*ast.StructType); ok {
							of(folder, s.Name.Name).fields = fieldsOf(st)
						}
					}
				}
			}
		}
	})
	for _, name := range slices.Sorted(maps.Keys(all)) {
		x := all[name]
		if x.fields > mostFields {
			t.Errorf("%s has %d fields.\n\trule: at most %d\n\tmend: give those that change together a type of their own", name, x.fields, mostFields)
		}
		if x.methods > mostMethods {
			t.Errorf("%s has %d methods.\n\trule: at most %d\n\tmend: move those that use the same few fields to a type of their own", name, x.methods, mostMethods)
		}
		if len(x.files) > mostFiles {
			t.Errorf("the methods of %s stand in %d files.\n\trule: at most %d\n\tmend: a type that needs more answers several questions: divide it", name, len(x.files), mostFiles)
		}
	}
}

func TestFunctionsStayShort(t *testing.T) {
	fset := token.NewFileSet()
	for _, f := range houseFiles(t) {
		if f.test || within(f.folder, "examples") {
			continue
		}
		parsed, err := parser.ParseFile(fset, filepath.FromSlash(f.path), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if d, ok := d.(*ast.FuncDecl); ok {
				if n := fset.Position(d.End()).Line - fset.Position(d.Pos()).Line + 1; n > mostLines {
					t.Errorf("%s: %s has %d lines.\n\trule: at most %d\n\tmend: give its parts names of their own", f.path, d.Name.Name, n, mostLines)
				}
			}
		}
	}
}

// decisions are the types of the engine's organs in which they return what is
// to be done.
var decisions = []string{"Outcome", "Facts", "Verdict", "Reason"}

// An organ decides and the engine acts: a decision that nobody looks at is a
// client that is not ended, or not answered.
func TestDecisionsAreActedOn(t *testing.T) {
	config := &packages.Config{Mode: packages.NeedName | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedImports}
	loaded, err := packages.Load(config, ".", "./internal/engine/...")
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	for _, p := range loaded {
		for _, err := range p.Errors {
			t.Fatal(err)
		}
		for _, file := range p.Syntax {
			ast.Inspect(file, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok && decides(p.TypesInfo, call) {
					calls++
				}
				if call := thrownAway(n); call != nil && decides(p.TypesInfo, call) {
					t.Errorf("%s: what this call decides is thrown away.\n\tmend: act on it, as the engine does on every other", p.Fset.Position(call.Pos()))
				}
				return true
			})
		}
	}
	if calls == 0 {
		t.Error("nothing decides anything: the rule holds nothing")
	}
}

// decides reports whether one of the call's results is a decision.
func decides(info *types.Info, call *ast.CallExpr) bool {
	result := info.TypeOf(call)
	if all, ok := result.(*types.Tuple); ok {
		for v := range all.Variables() {
			if isDecision(v.Type()) {
				return true
			}
		}
		return false
	}
	return isDecision(result)
}

func isDecision(t types.Type) bool {
	named, ok := t.(*types.Named)
	return ok && named.Obj().Pkg() != nil && strings.HasPrefix(named.Obj().Pkg().Path(), houseModule+"/internal/engine/") &&
		slices.Contains(decisions, named.Obj().Name())
}

// thrownAway returns a call whose results nobody has: as a statement, in a defer or a
// go, or all of them assigned to the blank identifier.
func thrownAway(n ast.Node) *ast.CallExpr {
	var call ast.Expr
	switch s := n.(type) {
	case *ast.ExprStmt:
		call = s.X
	case *ast.DeferStmt:
		call = s.Call
	case *ast.GoStmt:
		call = s.Call
	case *ast.AssignStmt:
		for _, to := range s.Lhs {
			if x, ok := to.(*ast.Ident); !ok || x.Name != "_" {
				return nil
			}
		}
		call = s.Rhs[0]
	}
	c, _ := call.(*ast.CallExpr)
	return c
}

// eachOurFile parses every Go file that is no test.
func eachOurFile(t *testing.T, do func(file string, parsed *ast.File)) {
	t.Helper()
	for _, f := range houseFiles(t) {
		if f.test {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.FromSlash(f.path), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		do(f.path, parsed)
	}
}

// receiverOf returns the type that a method is of, "" for a function.
func receiverOf(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	x := d.Recv.List[0].Type
	if star, ok := x.(*ast.StarExpr); ok {
		x = star.X
	}
	switch generic := x.(type) {
	case *ast.IndexExpr:
		x = generic.X
	case *ast.IndexListExpr:
		x = generic.X
	}
	return x.(*ast.Ident).Name
}

func fieldsOf(s *ast.StructType) (n int) {
	for _, f := range s.Fields.List {
		n += max(1, len(f.Names))
	}
	return n
}

// platformless returns a file's name without the system that it is for: what stands
// in a file for each system counts once.
func platformless(file string) string {
	name := strings.TrimSuffix(path.Base(file), ".go")
	for _, system := range []string{"_linux", "_bsd", "_darwin", "_windows", "_unix", "_openbsd", "_other"} {
		name = strings.TrimSuffix(name, system)
	}
	return name
}
