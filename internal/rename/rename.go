// Rename changes the path of the module in the whole repository, in place:
//
//	go run ./internal/rename example.org/x/concert
//
// The paths of the modules in subdirectories change, too. Rename changes import
// paths, go.mod files, and the paths in comments and documents. It does not
// change strings in the code, because they contain no path of the module. It
// does not change the names of packages.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

func main() {
	if len(os.Args) != 2 || strings.HasPrefix(os.Args[1], "-") {
		fmt.Fprintln(os.Stderr, "usage: go run ./internal/rename NEW/MODULE/PATH")
		os.Exit(2)
	}
	if err := rename(".", os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "rename:", err)
		os.Exit(1)
	}
}

// renamer changes the path of a module to another path.
type renamer struct {
	dir      string // the directory of the repository
	from, to string
	mention  *regexp.Regexp // matches the path of a package in a text
}

// rename changes the path of the module in dir, and of the modules below it.
func rename(dir, to string) error {
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return err
	}
	m := moduleLine.FindSubmatch(mod)
	if m == nil {
		return fmt.Errorf("%s has no module line", filepath.Join(dir, "go.mod"))
	}
	r := &renamer{dir: dir, from: string(m[1]), to: to}
	r.mention = regexp.MustCompile(`(^|[^\w./-])` + regexp.QuoteMeta(r.from) + `(/[\w/]*\w)`)
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if base := d.Name(); name != dir && (base[0] == '.' || base == "testdata") {
				return filepath.SkipDir
			}
			return nil
		case d.Name() == "go.mod":
			if err := r.change(name, r.modFile); err != nil {
				return err
			}
			return formatMod(name)
		case filepath.Ext(name) == ".go":
			return r.change(name, r.goFile)
		case filepath.Ext(name) == ".md":
			return r.change(name, r.document)
		}
		return nil
	})
}

var moduleLine = regexp.MustCompile(`(?m)^module (\S+)$`)

// change replaces the content of a file.
func (r *renamer) change(name string, by func(old []byte) ([]byte, error)) error {
	old, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	text, err := by(old)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if bytes.Equal(text, old) {
		return nil
	}
	return os.WriteFile(name, text, 0o666) // WriteFile does not change the mode of an existing file
}

// path returns the new path of a package or module.
func (r *renamer) path(old string) string {
	if rest, ok := strings.CutPrefix(old, r.from); ok && (rest == "" || rest[0] == '/') {
		return r.to + rest
	}
	return old
}

// modFile changes the paths in a go.mod.
func (r *renamer) modFile(old []byte) ([]byte, error) {
	return word.ReplaceAllFunc(old, func(w []byte) []byte { return []byte(r.path(string(w))) }), nil
}

var word = regexp.MustCompile(`\S+`)

// formatMod sorts the requirements of a go.mod.
func formatMod(name string) error {
	cmd := exec.Command("go", "mod", "edit", "-fmt", name)
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.New(string(out))
	}
	return nil
}

// goFile changes the import paths and the comments of a file of Go.
func (r *renamer) goFile(old []byte) ([]byte, error) {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, "", old, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	done := 0
	replace := func(n ast.Node, text string) {
		b.Write(old[done:set.Position(n.Pos()).Offset])
		b.WriteString(text)
		done = set.Position(n.End()).Offset
	}
	// The imports and the comments are changed in the order of the file,
	// because a comment may be between two imports.
	comments := f.Comments
	until := func(end token.Pos) {
		for len(comments) > 0 && (comments[0].Pos() < end || end == token.NoPos) {
			for _, c := range comments[0].List {
				replace(c, r.mentions(c.Text))
			}
			comments = comments[1:]
		}
	}
	for _, i := range f.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return nil, err
		}
		until(i.Path.Pos())
		replace(i.Path, strconv.Quote(r.path(path)))
	}
	until(token.NoPos)
	b.Write(old[done:])
	if bytes.Equal(b.Bytes(), old) {
		return old, nil
	}
	return format.Source(b.Bytes()) // sorts the imports
}

// mentions changes the paths of packages in a text. It does not change a path
// without a package, because this may be the name of a file.
func (r *renamer) mentions(text string) string {
	return r.mention.ReplaceAllStringFunc(text, func(found string) string {
		m := r.mention.FindStringSubmatch(found)
		if info, err := os.Stat(filepath.Join(r.dir, filepath.FromSlash(m[2]))); err != nil || !info.IsDir() {
			return found
		}
		return m[1] + r.to + m[2]
	})
}

// document changes the imports, the commands and the paths in a document.
func (r *renamer) document(old []byte) ([]byte, error) {
	quoted := regexp.QuoteMeta(r.from)
	text := string(old)
	text = regexp.MustCompile(`(?m)^(\s*")`+quoted+`("$)`).ReplaceAllString(text, "${1}"+r.to+"${2}")
	text = regexp.MustCompile(`(-require=|-replace=)`+quoted+`(/\w+)?([@=])`).ReplaceAllString(text, "${1}"+r.to+"${2}${3}")
	return []byte(r.mentions(text)), nil
}
