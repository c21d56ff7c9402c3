package concert

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Functions returns all registered and declared functions, by name. An executor whose workers are programs of
// their own tells by it which of them can run what.
func Functions() []*Function {
	registry.mu.RLock()
	defer registry.mu.RUnlock()
	return slices.SortedFunc(maps.Values(registry.byName), func(a, b *Function) int { return strings.Compare(a.name, b.name) })
}

// Name returns the name under which the function is registered.
func (f *Function) Name() string { return f.name }

// Signature describes the types of the argument and the result as they travel: two programs in which a function has the
// same name and the same signature understand each other. Names of types do not count, those of fields do. It is made to be
// compared, or hashed. Of a declared function it is the type of its codec.
func (f *Function) Signature() string { return f.types() }

// signature describes a type as it travels.
func signature(t reflect.Type) string { return travel.Describe(t) }
