//go:build !linux

package confine

import (
	"fmt"
	"os"
	"runtime"
)

func supported() error { return fmt.Errorf("%s cannot confine workers", runtime.GOOS) }

func openPath(string) (*os.File, error) { return nil, supported() }

// Apply fails.
func (*Restrictions) Apply() error { return supported() }

// CloseInherited fails.
func (*Restrictions) CloseInherited([]string) error { return supported() }
