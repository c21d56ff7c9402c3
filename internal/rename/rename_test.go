package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestRename: in a small repository of two modules, rename must change all
// paths of the module, and nothing else.
func TestRename(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []struct{ name, old, want string }{
		{"go.mod", "module m\n\ngo 1.26.0\n", "module example.org/m\n\ngo 1.26.0\n"},
		{"sub/go.mod", "module m/sub\n\nrequire (\n\tk v1.0.0\n\tm v0.0.0\n)\n\nreplace m => ../\n",
			"module example.org/m/sub\n\nrequire (\n\texample.org/m v0.0.0\n\tk v1.0.0\n)\n\nreplace example.org/m => ../\n"},
		{"a.go", `// Package m is like m/sub, ./m/sub and m/other.
package m

import (
	"fmt"
	x "m/sub" // m/sub

	"mm/sub"
)

// F prints [m/sub.Name].
func F() { fmt.Println("m/sub", x.Name, sub.Name) } // m/sub
`, `// Package m is like example.org/m/sub, ./m/sub and m/other.
package m

import (
	x "example.org/m/sub" // example.org/m/sub
	"fmt"

	"mm/sub"
)

// F prints [example.org/m/sub.Name].
func F() { fmt.Println("m/sub", x.Name, sub.Name) } // example.org/m/sub
`},
		{"sub/b.go", "package sub\n\nimport \"m\"\n", "package sub\n\nimport \"example.org/m\"\n"},
		{"docs/a.md", "`m/sub` in m:\n\nimport (\n\t\"m\"\n\t\"m/sub\"\n)\n\ngo mod edit -require=m/sub@v0.0.0 -replace=m/sub=/path/m/sub\n",
			"`example.org/m/sub` in m:\n\nimport (\n\t\"example.org/m\"\n\t\"example.org/m/sub\"\n)\n\ngo mod edit -require=example.org/m/sub@v0.0.0 -replace=example.org/m/sub=/path/m/sub\n"},
		{"sub/testdata/x.go", "package x\n\nimport \"m\"\n", "package x\n\nimport \"m\"\n"},
	} {
		name := filepath.Join(dir, filepath.FromSlash(f.name))
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(f.old), 0o666); err != nil {
			t.Fatal(err)
		}
		defer func() {
			got, err := os.ReadFile(name)
			if err != nil || string(got) != f.want {
				t.Errorf("%s is\n%s\nwant\n%s(%v)", f.name, got, f.want, err)
			}
		}()
	}
	if err := rename(dir, "example.org/m"); err != nil {
		t.Fatal(err)
	}
}
