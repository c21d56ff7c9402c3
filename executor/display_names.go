package executor

import (
	"runtime"
	"slices"
	"sync"
)

// identity says which function a task calls, for its name. It does not keep
// the function alive.
type identity struct {
	value uintptr // the function value, as valuePointer has it
	code  uintptr // where its code starts
}

func identityOf[F any](fn F) identity {
	return identity{uintptr(valuePointer(fn)), codePointer(fn)}
}

// name returns the registered name of the function, or else the one that
// package runtime knows.
func (id identity) name() string {
	if list, ok := registeredNames.Load(id.code); ok {
		for _, r := range slices.Backward(*list.(*[]registeredName)) {
			if r.byCode || r.value == id.value {
				return r.name
			}
		}
	}
	if f := runtime.FuncForPC(id.code); f != nil {
		return f.Name()
	}
	return "unknown function"
}

// registeredName is a name that was given to one function value, or to all
// that have the same code.
type registeredName struct {
	value  uintptr
	byCode bool
	name   string
}

// registeredNames holds the names for display by the code of the functions, as
// *[]registeredName, which are not changed: events ask for names on all
// goroutines, so reading takes no lock. Registered function values are never
// freed, so their addresses stay theirs.
var registeredNames sync.Map

// learnName stores the name of a registered function. The caller holds the
// registry's lock.
func learnName(id identity, byCode bool, name string) {
	var list []registeredName
	if before, ok := registeredNames.Load(id.code); ok {
		list = append(list, *before.(*[]registeredName)...)
	}
	list = append(list, registeredName{id.value, byCode, name})
	registeredNames.Store(id.code, &list)
}
