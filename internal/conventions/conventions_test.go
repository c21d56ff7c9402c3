// Package conventions checks the conventions of CONTRIBUTING.md that a program
// can check, in all modules of the repository:
//
//   - comments: their width, and doc comments of exported names
//   - errors: the texts of exported error variables
//   - examples: examples of entry points
//   - paths: strings that contain the path of the module
//   - words: words that the project does not use
//
// Each rule is a function that returns its findings. TestRules tests each rule
// with a mistake. A package that does not follow a rule yet is in the table of
// exemptions. The table only shrinks: an exemption that is no longer needed
// fails the test.
package conventions

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var root = filepath.Join("..", "..")

// finding is one place that does not follow a rule.
type finding struct {
	rule string
	file string // relative to the root of the repository, with slashes
	line int
	text string // what is wrong, and what to write instead
}

// dir returns the directory of the file, by which exemptions are listed.
func (f finding) dir() string { return path.Dir(f.file) }

func (f finding) String() string {
	return fmt.Sprintf("%s:%d: %s (%s)", f.file, f.line, f.text, f.rule)
}

// goFile is a parsed file of Go source.
type goFile struct {
	*ast.File
	set  *token.FileSet
	name string // relative to the root of the repository, with slashes
}

func (f *goFile) isTest() bool { return strings.HasSuffix(f.name, "_test.go") }

func (f *goFile) line(p token.Pos) int { return f.set.Position(p).Line }

// finding returns a finding at a position of the file.
func (f *goFile) finding(rule string, p token.Pos, format string, args ...any) finding {
	return finding{rule, f.name, f.line(p), fmt.Sprintf(format, args...)}
}

// document is a file of text for people.
type document struct{ name, text string }

// parse parses a Go file.
func parse(name string, source []byte) (*goFile, error) {
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &goFile{parsed, set, name}, nil
}

// repository reads the Go files and the documents of all modules.
func repository(t *testing.T) (files []*goFile, docs []document) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		short, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		if base := d.Name(); d.IsDir() {
			if short != "." && (base[0] == '.' || base[0] == '_' || base == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		short = filepath.ToSlash(short)
		isGo := strings.HasSuffix(short, ".go")
		isDoc := strings.HasSuffix(short, ".md") && short != "CHANGELOG.md" // old entries may use words that were retired later
		if !isGo && !isDoc {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if isDoc {
			docs = append(docs, document{short, string(text)})
			return nil
		}
		f, err := parse(short, text)
		if err != nil {
			return err
		}
		if !ast.IsGenerated(f.File) {
			files = append(files, f)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, docs
}

func TestConventions(t *testing.T) {
	files, docs := repository(t)
	if len(files) < 100 || len(docs) < 5 {
		t.Fatalf("only %d Go files and %d documents: is %s the repository?", len(files), len(docs), root)
	}
	findings := slices.Concat(
		commentWidth(files), docComments(files), errorPrefixes(files), entryExamples(files), modulePaths(files), retiredWords(files, docs),
	)
	needed := map[string]bool{} // the keys are the rule and the directory of an exemption
	for _, f := range findings {
		dir, ok := exempted(f)
		if !ok {
			t.Error(f)
		}
		needed[f.rule+" "+dir] = true
	}
	for rule, dirs := range exempt {
		for _, dir := range strings.Fields(dirs) {
			if !needed[rule+" "+dir] {
				t.Errorf("%q follows the rule %q: remove it from the table of exemptions", dir, rule)
			}
		}
	}
}

// exempted returns the directory in the table of exemptions that permits a
// finding. An exemption of the root of the repository holds only for the root.
// An exemption of any other directory also holds for the directories in it.
func exempted(f finding) (dir string, ok bool) {
	for _, dir := range strings.Fields(exempt[f.rule]) {
		if f.dir() == dir || strings.HasPrefix(f.file, dir+"/") {
			return dir, true
		}
	}
	return "", false
}
