package frame

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// wireNames holds the names in Calls that are not those of the functions.
var wireNames struct {
	some atomic.Bool
	all  sync.Map // from name to name
}

// SetWireName has Calls of a function carry another name than the one that
// errors, events and logs show: one with the source text of the function. It
// panics if there is another one.
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
