package executor

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Functions returns all registered and declared functions, sorted by name. An
// executor whose workers are other programs uses it to find which of them can
// run which function.
func Functions() []*Function {
	registry.mu.RLock()
	defer registry.mu.RUnlock()
	return slices.SortedFunc(maps.Values(registry.byName), func(a, b *Function) int { return strings.Compare(a.name, b.name) })
}

// Name returns the name under which the function is registered.
func (f *Function) Name() string { return f.name }

// Signature describes the encoding of the argument and the result: two programs
// in which a function has the same name and the same signature understand each
// other. Names of types do not count, and names of fields do. It is meant to be
// compared or hashed. The signature of a declared function is the type of its
// codec.
func (f *Function) Signature() string { return f.types() }

// signature describes a type as it travels.
func signature(t reflect.Type) string { return travel.Describe(t) }
