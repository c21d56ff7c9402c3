package python

import "reflect"

// RunsUserCode reports whether the codec itself calls code of the program for
// values of the type: it does not, beyond the methods of their types. Values
// of types without such methods are then encoded by the pool's own goroutines.
func (codec) RunsUserCode(reflect.Type) bool { return false }
