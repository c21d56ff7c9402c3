package conventions

import (
	"go/ast"
	"go/doc"
	"path"
	"strings"
)

// entryExamples finds entry points without an example that runs: a function
// Example of that name, with its output, in a test of the package.
//
// An entry point is an exported function of a package for users (not a command,
// not internal) whose name begins with New, or whose first parameter is a
// context.Context.
func entryExamples(files []*goFile) (found []finding) {
	const rule = "example"
	examples := map[string]bool{} // by directory and name
	for _, f := range files {
		if f.isTest() {
			for _, e := range doc.Examples(f.File) {
				if e.Output != "" || e.EmptyOutput {
					name, _, _ := strings.Cut(e.Name, "_")
					examples[path.Dir(f.name)+" "+name] = true
				}
			}
		}
	}
	for _, f := range files {
		if f.isTest() || f.Name.Name == "main" || isInternal(f) {
			continue
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if ok && fn.Recv == nil && isEntry(fn) && !examples[path.Dir(f.name)+" "+fn.Name.Name] {
				found = append(found, f.finding(rule, fn.Pos(), "%s has no example: write Example%[1]s with its Output", fn.Name.Name))
			}
		}
	}
	return found
}

// isInternal reports whether only packages of the project can import the file's
// package.
func isInternal(f *goFile) bool { return strings.Contains("/"+f.name, "/internal/") }

// isEntry reports whether a function is an entry point of its package.
func isEntry(fn *ast.FuncDecl) bool {
	if !fn.Name.IsExported() {
		return false
	}
	if strings.HasPrefix(fn.Name.Name, "New") {
		return true
	}
	params := fn.Type.Params.List
	if len(params) == 0 {
		return false
	}
	t, ok := params[0].Type.(*ast.SelectorExpr)
	if !ok || t.Sel.Name != "Context" {
		return false
	}
	pkg, ok := t.X.(*ast.Ident)
	return ok && pkg.Name == "context"
}
