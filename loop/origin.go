package loop

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
)

// origin is where coroutines come from: their function, and who started them.
type origin struct {
	function uintptr // its code pointer, or 0
	site     uintptr // who started it, or 0

	once        sync.Once
	name, place string // for people, once they were asked for
}

// entry returns the code pointer of a function.
func entry(fn any) uintptr { return reflect.ValueOf(fn).Pointer() }

// look takes down the one who is skip calls above the caller of look.
func (o *origin) look(skip int) {
	var pcs [1]uintptr
	runtime.Callers(skip+1, pcs[:])
	o.site = pcs[0]
}

// packagePath is the import path of this package, which depends on the name of
// the module.
var packagePath = reflect.TypeFor[Loop]().PkgPath()

// inPackage reports whether a function, given by its name in a stack, belongs
// to this package.
func inPackage(function string) bool { return strings.HasPrefix(function, packagePath+".") }

// functionName returns the name of a function or a method expression, as it
// appears in stacks.
func functionName(fn any) string { return runtime.FuncForPC(entry(fn)).Name() }

func functionNames(fns ...any) []string {
	names := make([]string, len(fns))
	for i, fn := range fns {
		names[i] = functionName(fn)
	}
	return names
}

// describe returns the function's name, as package.Function, and the place
// where the coroutine was started, or that of its function, as file:line.
func (o *origin) describe() (name, place string) {
	o.once.Do(func() { o.name, o.place = o.called(), o.where() })
	return o.name, o.place
}

func (o *origin) called() string {
	f := runtime.FuncForPC(o.function)
	if f == nil {
		return "a coroutine"
	}
	name := f.Name()
	name = name[strings.LastIndexByte(name, '/')+1:]
	return strings.TrimSuffix(strings.ReplaceAll(name, "[...]", ""), "-fm")
}

func (o *origin) where() string {
	if o.site != 0 {
		if f, _ := runtime.CallersFrames([]uintptr{o.site}).Next(); f.File != "" {
			return fmt.Sprintf("%s:%d", f.File, f.Line)
		}
	}
	if f := runtime.FuncForPC(o.function); f != nil {
		file, line := f.FileLine(o.function)
		return fmt.Sprintf("%s:%d", file, line)
	}
	return "unknown"
}
