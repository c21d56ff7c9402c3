package frame

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// wireNames has the functions whose name in Call frames differs from the name
// of the function.
var wireNames struct {
	some atomic.Bool
	all  sync.Map // from the name of a function to its name in Call frames
}

// SetWireName sets the name of a function in Call frames. Package python uses
// it for functions that are given as source text: the text is a part of the
// name in Call frames, but not of the name in errors, events and logs.
// SetWireName panics if the function already has another name in Call frames.
func SetWireName(name, wire string) {
	if known, ok := wireNames.all.LoadOrStore(name, wire); ok && known != wire {
		panic(fmt.Sprintf("frame: SetWireName: %s has another name in Call frames already", name))
	}
	wireNames.some.Store(true)
}

// wireName returns the name of a function in Call frames.
func wireName(name string) string {
	if wireNames.some.Load() {
		if wire, ok := wireNames.all.Load(name); ok {
			return wire.(string)
		}
	}
	return name
}
