package buildinfo

import (
	"bufio"
	_ "embed"
	"fmt"
	"io"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
)

//go:embed notices.txt
var notices string

// notice is a license, or another file that must accompany a module.
type notice struct {
	file    string // its name in the modules
	modules []string
	text    string
}

// Names in notices.txt that stand for modules, but are not their paths.
const (
	own      = "concert" // all modules of this project
	standard = "std"
)

// header begins the line in notices.txt before a notice.
const header = "=== "

// ownPath is the path of the project's root module.
var ownPath = strings.TrimSuffix(reflect.TypeFor[notice]().PkgPath(), "/internal/buildinfo")

func isOwn(path string) bool { return path == ownPath || strings.HasPrefix(path, ownPath+"/") }

// parse returns the notices of notices.txt.
func parse(text string) (all []notice) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, header); ok {
			file, modules, _ := strings.Cut(strings.TrimSpace(rest), ": ")
			all = append(all, notice{file: file, modules: strings.Fields(modules)})
			continue
		}
		all[len(all)-1].text += line
	}
	return all
}

// WriteLicenses prints the modules that are linked into the binary, with their
// versions, and the licenses of these modules.
func WriteLicenses(w io.Writer, program string) error {
	line, err := Line(program)
	if err != nil {
		return err
	}
	info, _ := debug.ReadBuildInfo() // Line has returned an error if it is missing
	return writeLicenses(w, line, info, parse(notices))
}

func writeLicenses(w io.Writer, line string, info *debug.BuildInfo, all []notice) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%s\n\nThis program contains the standard library of Go, and these modules:\n\n", line)
	linked := []string{own, standard}
	for _, m := range info.Deps {
		if !isOwn(m.Path) {
			linked = append(linked, m.Path)
			fmt.Fprintf(out, "  %s %s\n", m.Path, m.Version)
		}
	}
	fmt.Fprint(out, "\nTheir licenses, and the license of concert itself:\n")
	licensed := map[string]bool{}
	for _, n := range all {
		var of []string
		for _, m := range n.modules {
			if slices.Contains(linked, m) {
				licensed[m] = true
				of = append(of, m)
			}
		}
		if len(of) > 0 {
			fmt.Fprintf(out, "\n%s%s: %s\n\n%s", header, n.file, strings.Join(of, " "), n.text)
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	for _, m := range linked {
		if !licensed[m] {
			return fmt.Errorf("the license of the module %s is missing: run 'go test ./internal/buildinfo -update' in the repository, and build the program again", m)
		}
	}
	return nil
}
