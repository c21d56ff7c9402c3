package executor

import (
	"reflect"
	"runtime"
	"slices"
	"sync"
	"unsafe"
)

// identity identifies the function that a task calls, to find the name of the
// function. It does not prevent the garbage collector from freeing the
// function.
type identity struct {
	value uintptr // the function value, as valuePointer returns it
	code  uintptr // address of the code of the function
}

func identityOf[F any](fn F) identity {
	return identity{uintptr(valuePointer(fn)), codePointer(fn)}
}

// codePointer returns the address at which the code of a function starts.
func codePointer(fn any) uintptr { return reflect.ValueOf(fn).Pointer() }

// valuePointer returns the function value as a pointer: the address of the
// closure, or of the function's entry in the program's data. Two closures with
// the same code have different addresses while both are reachable.
func valuePointer[F any](fn F) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&fn)) }

// name returns the registered name of the function, or else the name that
// package runtime returns.
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

// registeredName is the name of a function value. With byCode, it is the name
// of all function values that have the same code.
type registeredName struct {
	value  uintptr
	byCode bool
	name   string
}

// registeredNames has the names for display of registered functions: the key is
// the address of the code, the value a *[]registeredName. A stored list is
// never changed, so that goroutines read it without a lock. Registered function
// values are never freed, so no other function gets their address.
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
