//go:build !linux

package processes

import (
	"fmt"
	"os"
	"runtime"
)

func canConfine() error { return fmt.Errorf("%s cannot confine workers", runtime.GOOS) }

func openPlace(string) (*os.File, error) { return nil, canConfine() }

func (*places) confine() error { return canConfine() }

func (*places) closeInherited([]string) error { return canConfine() }
