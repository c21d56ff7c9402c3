//go:build !linux

package processes

import (
	"fmt"
	"os"
	"runtime"
)

func canConfine() error { return fmt.Errorf("%s cannot confine workers", runtime.GOOS) }

func openPlace(string) (*os.File, error) { return nil, canConfine() }

func (*passedSandbox) confine() error { return canConfine() }

func (*passedSandbox) closeInherited([]string) error { return canConfine() }
