package buildinfo

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write notices.txt")

// TestNotices: notices.txt must have the licenses of all modules that are
// linked into a command on any system.
func TestNotices(t *testing.T) {
	want := generate(t)
	if *update {
		if err := os.WriteFile("notices.txt", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want == notices {
		return
	}
	have := parse(notices)
	for _, n := range parse(want) {
		if !slices.ContainsFunc(have, func(h notice) bool { return h.text == n.text && slices.Equal(h.modules, n.modules) }) {
			t.Errorf("%s of %v is missing, or has changed", n.file, n.modules)
		}
	}
	t.Error("notices.txt is stale: run go test ./internal/buildinfo -update, and read the new licenses")
}

// generate returns the text of notices.txt.
func generate(t *testing.T) string {
	files := map[string]*notice{} // by text
	add := func(dir, name, module string) {
		text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		body := strings.Trim(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n") + "\n"
		if strings.Contains("\n"+body, "\n"+header) {
			t.Fatalf("%s of %s has a line that begins with %q", name, module, header)
		}
		n := files[body]
		if n == nil {
			n = &notice{file: name, text: body}
			files[body] = n
		}
		if !slices.Contains(n.modules, module) {
			n.modules = append(n.modules, module)
		}
	}
	add(filepath.Join("..", ".."), "LICENSE", own)
	goroot := strings.TrimSpace(string(goCommand(t, "linux", "env", "GOROOT")))
	for _, name := range noticesIn(t, goroot) {
		add(goroot, name, standard)
	}
	seen := map[string]bool{}
	for _, p := range linkedPackages(t) {
		for dir := p.Dir; !seen[dir]; dir = filepath.Dir(dir) {
			seen[dir] = true
			for _, name := range noticesIn(t, dir) {
				rel, err := filepath.Rel(p.Module.Dir, filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				add(p.Module.Dir, filepath.ToSlash(rel), p.Module.Path)
			}
			if dir == p.Module.Dir {
				break
			}
		}
	}
	var all []*notice
	for _, n := range files {
		slices.Sort(n.modules)
		all = append(all, n)
	}
	rank := map[string]int{own: -2, standard: -1}
	slices.SortFunc(all, func(a, b *notice) int {
		return cmp.Or(rank[a.modules[0]]-rank[b.modules[0]], slices.Compare(a.modules, b.modules), strings.Compare(a.file, b.file), strings.Compare(a.text, b.text))
	})
	var out strings.Builder
	for _, n := range all {
		out.WriteString(header + n.file + ": " + strings.Join(n.modules, " ") + "\n" + n.text)
	}
	return out.String()
}

// noticeName matches the name of a file that must accompany a module.
var noticeName = regexp.MustCompile(`(?i)^(licen[cs]e|copying|copyright|notice|patents|unlicense)([.-].*)?$`)

// noticesIn returns the names of these files in a directory.
func noticesIn(t *testing.T, dir string) (names []string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Type().IsRegular() && noticeName.MatchString(e.Name()) && filepath.Ext(e.Name()) != ".go" {
			names = append(names, e.Name())
		}
	}
	return names
}

type linkedPackage struct {
	Dir      string
	Standard bool
	Module   *struct{ Path, Dir string }
}

// linkedPackages returns the packages of other projects that are linked into
// the commands on Linux, macOS and Windows.
func linkedPackages(t *testing.T) (all []linkedPackage) {
	for _, system := range []string{"linux", "darwin", "windows"} {
		out := goCommand(t, system, "list", "-deps", "-json=Dir,Standard,Module", "./cmd/concert", "./cluster/cmd/concertd")
		for d := json.NewDecoder(bytes.NewReader(out)); ; {
			var p linkedPackage
			if err := d.Decode(&p); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if p.Module != nil && !p.Standard && !isOwn(p.Module.Path) {
				all = append(all, p)
			}
		}
	}
	return all
}

// goCommand runs the go command in the root of the repository, for a system.
func goCommand(t *testing.T, system string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		errors.As(err, &exit)
		t.Fatalf("%v: %v\n%s", cmd.Args, err, exit.Stderr)
	}
	return out
}

func TestWriteLicenses(t *testing.T) {
	all := parse("=== LICENSE: concert\nours\n=== LICENSE: a.example/x b.example/y std\nshared\n\ntext\n=== NOTICE: c.example/z\nother\n")
	info := &debug.BuildInfo{Deps: []*debug.Module{{Path: ownPath + "/cluster"}, {Path: "b.example/y", Version: "v1.2.3"}}}
	var out strings.Builder
	if err := writeLicenses(&out, "it v1", info, all); err != nil {
		t.Error(err)
	}
	want := `it v1

This program contains the standard library of Go, and these modules:

  b.example/y v1.2.3

Their licenses, and the license of concert itself:

=== LICENSE: concert

ours

=== LICENSE: b.example/y std

shared

text
`
	if out.String() != want {
		t.Errorf("got %s\nwant %s", out.String(), want)
	}
	info.Deps = append(info.Deps, &debug.Module{Path: "d.example/new"})
	if err := writeLicenses(io.Discard, "it v1", info, all); err == nil || !strings.Contains(err.Error(), "d.example/new is missing") {
		t.Errorf("a module without a license: %v", err)
	}
}
