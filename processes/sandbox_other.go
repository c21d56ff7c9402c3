//go:build !linux

package processes

import (
	"fmt"
	"runtime"
)

func canConfine() error { return fmt.Errorf("%s cannot confine workers", runtime.GOOS) }

func (*Sandbox) confine() error { return canConfine() }
