// Package api compares the exported names of all packages for users with the
// files in the directory api. If an exported name changes, these files must
// change. So a reviewer sees the change. Each line is one name with its type,
// as in the directory api of Go:
//
//	pkg concert/goroutines, func New(n int, opts *Options) *Pool
//
// The names are those on Linux. Another test compares the packages with the
// table in docs/stability.md.
package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the files in the directory api")

var root = filepath.Join("..", "..")

// fileOf returns the file with the names of a module.
func fileOf(module string) string { return path.Base(module) + ".txt" }

func TestAPI(t *testing.T) {
	for module, packages := range publicPackages(t) {
		file := filepath.Join(root, "api", fileOf(module))
		want := strings.Join(listing(t, packages), "\n") + "\n"
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		removed, added := difference(string(text), want)
		for _, line := range removed {
			t.Errorf("-%s", line)
		}
		for _, line := range added {
			t.Errorf("+%s", line)
		}
		switch {
		case len(removed) > 0:
			t.Errorf("lines of api/%s do not hold any longer, so programs that use these names may not compile: "+
				"read docs/stability.md, say it in CHANGELOG.md, and run go test ./internal/api -update", fileOf(module))
		case len(added) > 0:
			t.Errorf("api/%s lacks exported names: run go test ./internal/api -update", fileOf(module))
		case string(text) != want:
			t.Errorf("api/%s is not sorted: run go test ./internal/api -update", fileOf(module))
		}
	}
}

func TestDifference(t *testing.T) {
	removed, added := difference("a\nb\nc\n", "b\nc\nd\n")
	if !slices.Equal(removed, []string{"a"}) || !slices.Equal(added, []string{"d"}) {
		t.Errorf("removed %q, added %q", removed, added)
	}
}

// difference returns the lines that are missing in one of two texts.
func difference(before, after string) (removed, added []string) {
	old, new := strings.Split(before, "\n"), strings.Split(after, "\n")
	for _, line := range old {
		if !slices.Contains(new, line) {
			removed = append(removed, line)
		}
	}
	for _, line := range new {
		if !slices.Contains(old, line) {
			added = append(added, line)
		}
	}
	return removed, added
}

// TestStability: docs/stability.md must have a promise for each package.
func TestStability(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "stability.md"))
	if err != nil {
		t.Fatal(err)
	}
	var listed, want []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?) \\|").FindAllStringSubmatch(string(text), -1) {
		for _, name := range regexp.MustCompile("`([a-z./]+)`").FindAllStringSubmatch(row[1], -1) {
			listed = append(listed, inFile(name[1]))
		}
	}
	for _, packages := range publicPackages(t) {
		for _, p := range packages {
			want = append(want, inFile(p))
		}
	}
	slices.Sort(listed)
	slices.Sort(want)
	if !slices.Equal(listed, want) {
		t.Errorf("docs/stability.md has a promise for %q, want %q", listed, want)
	}
}

// modulePath is the path of the project's root module.
var modulePath = strings.TrimSuffix(reflect.TypeFor[goPackage]().PkgPath(), "/internal/api")

// inFile returns a path in the form that the files use.
func inFile(importPath string) string {
	if rest, ok := strings.CutPrefix(importPath, modulePath); ok && (rest == "" || rest[0] == '/') {
		return "concert" + rest
	}
	return importPath
}

// goPackage has the fields of a package in the output of go list.
type goPackage struct {
	ImportPath, Name string
	Export           string // the file with the compiler's description of the exported names
	GoFiles          []string
	Module           *struct{ Path string }
}

// publicPackages returns the packages for users, by module.
func publicPackages(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, p := range list(t, "-json=ImportPath,Name,GoFiles,Module", "./...", "./cluster/...", "./opentelemetry/...", "./prometheus/...") {
		if p.Name != "main" && len(p.GoFiles) > 0 && !strings.Contains(p.ImportPath+"/", "/internal/") {
			module := inFile(p.Module.Path)
			all[module] = append(all[module], p.ImportPath)
		}
	}
	if len(all) != 4 {
		t.Fatalf("packages of %d modules, want 4", len(all))
	}
	return all
}

// list runs go list in the root of the repository.
func list(t *testing.T, args ...string) (all []goPackage) {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS=linux")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		errors.As(err, &exit)
		t.Fatalf("%v: %v\n%s", cmd.Args, err, exit.Stderr)
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := d.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// listing returns the lines for packages.
func listing(t *testing.T, packages []string) (lines []string) {
	exports := map[string]string{}
	for _, p := range list(t, append([]string{"-deps", "-export", "-json=ImportPath,Export"}, packages...)...) {
		exports[p.ImportPath] = p.Export
	}
	imports := importer.ForCompiler(token.NewFileSet(), "gc", func(importPath string) (io.ReadCloser, error) { return os.Open(exports[importPath]) })
	for _, importPath := range packages {
		p, err := imports.Import(importPath)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range exported(p) {
			lines = append(lines, "pkg "+inFile(importPath)+", "+name)
		}
	}
	slices.Sort(lines)
	return lines
}

func TestExported(t *testing.T) {
	source := types.NewPackage("x/p", "p")
	other := types.NewPackage("x/q", "q")
	add := func(o types.Object) { source.Scope().Insert(o) }
	add(types.NewVar(token.NoPos, source, "hidden", types.Typ[types.Int]))
	add(types.NewVar(token.NoPos, source, "ErrX", types.Universe.Lookup("error").Type()))
	name := types.NewTypeName(token.NoPos, other, "T", nil)
	foreign := types.NewNamed(name, types.NewStruct(nil, nil), nil)
	options := types.NewTypeName(token.NoPos, source, "Options", nil)
	named := types.NewNamed(options, types.NewStruct([]*types.Var{
		types.NewField(token.NoPos, source, "Size", types.Typ[types.Int], false),
		types.NewField(token.NoPos, source, "size", types.Typ[types.Int], false),
		types.NewField(token.NoPos, source, "T", foreign, true),
	}, nil), nil)
	receiver := types.NewVar(token.NoPos, source, "o", types.NewPointer(named))
	named.AddMethod(types.NewFunc(token.NoPos, source, "Set", types.NewSignatureType(receiver, nil, nil,
		types.NewTuple(types.NewVar(token.NoPos, source, "to", foreign)), nil, false)))
	add(options)
	want := []string{
		"type Options struct", "type Options struct, Size int", "type Options struct, embedded q.T",
		"method (*Options) Set(to q.T)", "var ErrX error",
	}
	got := exported(source)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("exported names %q, want %q", got, want)
	}
}
