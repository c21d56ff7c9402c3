package conventions

import (
	"go/ast"
	"go/token"
	"reflect"
	"regexp"
	"strings"
)

// modulePath is the path of the root module.
var modulePath = strings.TrimSuffix(reflect.TypeFor[finding]().PkgPath(), "/internal/conventions")

var packagePath = regexp.MustCompile(`(^|[^\w./-])` + regexp.QuoteMeta(modulePath) + `/[a-z]+([/.]|$)`)

// modulePaths finds strings with the path of a package of the project. Such
// code breaks when the module gets another path. Import paths do not count,
// because internal/rename changes them.
func modulePaths(files []*goFile) (found []finding) {
	const rule = "module path"
	for _, f := range files {
		if f.name == "internal/layers/layers_test.go" { // in its tables, "concert" is a placeholder
			continue
		}
		imports := map[ast.Node]bool{}
		for _, i := range f.Imports {
			imports[i.Path] = true
		}
		ast.Inspect(f.File, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if ok && lit.Kind == token.STRING && !imports[lit] && packagePath.MatchString(strings.Trim(lit.Value, "\"`")) {
				found = append(found, f.finding(rule, lit.Pos(), "%.40s contains the path of a package: use reflect.Type.PkgPath", lit.Value))
			}
			return true
		})
	}
	return found
}
