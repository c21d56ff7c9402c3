package frame

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// wireNames has the names in Calls that differ from those of the functions.
var wireNames struct {
	some atomic.Bool
	all  sync.Map // from name to name
}

// SetWireName sets the name of a function in Calls. It differs from the name in
// errors, events and logs, because it has the source text of the function. It
// panics if the function has another name in Calls already.
func SetWireName(name, wire string) {
	if known, ok := wireNames.all.LoadOrStore(name, wire); ok && known != wire {
		panic(fmt.Sprintf("frame: SetWireName: %s has another one", name))
	}
	wireNames.some.Store(true)
}

// wireName returns the name of a function in Calls.
func wireName(name string) string {
	if wireNames.some.Load() {
		if wire, ok := wireNames.all.Load(name); ok {
			return wire.(string)
		}
	}
	return name
}
