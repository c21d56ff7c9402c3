// Package option checks the numbers that programs set in options.
package option

import "fmt"

// NotNegative panics if the value of an option is negative. The text of the
// panic has the call, such as "goroutines: New", the option, such as
// "Options.Queue", and the value.
func NotNegative[N ~int | ~int64](call, name string, value N) {
	if value < 0 {
		panic(fmt.Sprintf("%s: %s is %v; it must not be negative", call, name, value))
	}
}
