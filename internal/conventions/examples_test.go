package conventions

import (
	"go/ast"
	"go/doc"
	"path"
	"strings"
)

// entryExamples finds entry points without an example that runs. Such an
// example has an Output comment. For an entry point F, it is a function
// ExampleF, or an example of the whole package that calls F.
//
// An entry point is an exported function of a package for users (not a command,
// not internal) whose name begins with New, or whose first parameter is a
// context.Context.
func entryExamples(files []*goFile) (found []finding) {
	const rule = "example"
	examples := map[string]bool{} // the keys are a directory and a name
	for _, f := range files {
		if f.isTest() {
			for _, e := range doc.Examples(f.File) {
				if e.Output != "" || e.EmptyOutput {
					name, _, _ := strings.Cut(e.Name, "_")
					examples[path.Dir(f.name)+" "+name] = true
					if name == "" {
						for _, called := range callsOf(e.Code, path.Base(path.Dir(f.name))) {
							examples[path.Dir(f.name)+" "+called] = true
						}
					}
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

// callsOf returns the functions of a package that a piece of code calls.
func callsOf(code ast.Node, pkg string) (names []string) {
	ast.Inspect(code, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if fn, ok := call.Fun.(*ast.SelectorExpr); ok {
				if x, ok := fn.X.(*ast.Ident); ok && x.Name == pkg {
					names = append(names, fn.Sel.Name)
				}
			}
		}
		return true
	})
	return names
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
