package api

import (
	"fmt"
	"go/types"
	"regexp"
	"strings"
)

// compilerName matches the name that the compiler gives to an unnamed result.
var compilerName = regexp.MustCompile(`#rv[0-9]+ `)

// exported returns the exported names of a package with their types. It also
// returns fields and methods as names.
func exported(p *types.Package) (names []string) {
	qualifier := func(other *types.Package) string {
		if other == p {
			return ""
		}
		return other.Name()
	}
	text := func(t types.Type) string { return compilerName.ReplaceAllString(types.TypeString(t, qualifier), "") }
	add := func(format string, args ...any) { names = append(names, fmt.Sprintf(format, args...)) }
	for _, name := range p.Scope().Names() {
		object := p.Scope().Lookup(name)
		if !object.Exported() {
			continue
		}
		switch o := object.(type) {
		case *types.Const:
			add("const %s %s = %s", name, text(o.Type()), o.Val().ExactString())
		case *types.Var:
			add("var %s %s", name, text(o.Type()))
		case *types.Func:
			add("func %s", signature(name, o, text))
		case *types.TypeName:
			if o.IsAlias() {
				add("type %s = %s", name, text(types.Unalias(o.Type())))
				continue
			}
			names = append(names, ofType(o.Type().(*types.Named), text)...)
		}
	}
	return names
}

// signature returns a function with its parameters and results.
func signature(name string, f *types.Func, text func(types.Type) string) string {
	return name + strings.TrimPrefix(text(f.Type()), "func")
}

// ofType returns the lines of a defined type: the type, its exported fields,
// and its exported methods.
func ofType(t *types.Named, text func(types.Type) string) (names []string) {
	add := func(format string, args ...any) { names = append(names, fmt.Sprintf(format, args...)) }
	name := t.Obj().Name()
	declared := name + parameters(t, text)
	switch u := t.Underlying().(type) {
	case *types.Struct:
		add("type %s struct", declared)
		for f := range u.Fields() {
			switch {
			case f.Exported() && f.Embedded():
				add("type %s struct, embedded %s", name, text(f.Type()))
			case f.Exported():
				add("type %s struct, %s %s", name, f.Name(), text(f.Type()))
			}
		}
	case *types.Interface:
		if !u.IsMethodSet() {
			add("type %s %s", declared, text(u))
			return names
		}
		add("type %s interface", declared)
		closed := false
		for m := range u.Methods() {
			if m.Exported() {
				add("type %s interface, %s", name, signature(m.Name(), m, text))
			}
			closed = closed || !m.Exported()
		}
		if closed {
			add("type %s interface, unexported methods", name)
		}
		return names
	default:
		add("type %s %s", declared, text(u))
	}
	values := types.NewMethodSet(t)
	for m := range types.NewMethodSet(types.NewPointer(t)).Methods() {
		f := m.Obj().(*types.Func)
		if !f.Exported() {
			continue
		}
		receiver := text(t)
		if values.Lookup(f.Pkg(), f.Name()) == nil {
			receiver = "*" + receiver
		}
		add("method (%s) %s", receiver, f.Name()+strings.TrimPrefix(text(m.Type()), "func"))
	}
	return names
}

// parameters returns the type parameters of a type, as in [K comparable].
func parameters(t *types.Named, text func(types.Type) string) string {
	var all []string
	for p := range t.TypeParams().TypeParams() {
		all = append(all, p.Obj().Name()+" "+text(p.Constraint()))
	}
	if len(all) == 0 {
		return ""
	}
	return "[" + strings.Join(all, ", ") + "]"
}
